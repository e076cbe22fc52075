"""A Snowflake to test against, built from Snowflake's documentation.

It speaks the drivers' HTTP protocol on loopback and keeps everything in memory. Nobody on this
project has an account, so **each rule names the fact it encodes**:

* ``D (XX)``  documented; ``XX`` abbreviates a page below docs.snowflake.com/en: CL create-clone,
  OC object-clone, CS create-schema, AS/AD alter-schema and alter-database, AB at-before,
  TT data-time-travel, TX transactions, MV views-materialized, DT dynamic-tables/cloning,
  AC security-access-control-configure, TMP tables-temp-transient, SG show-grants,
  IG/IGU inherited-grants, CV create-view, GD get_ddl, IT info-schema/tables, HY hybrid clone.
* ``I``  inferred from documented facts.
* ``U``  unknown: a switch (``--list-switches``), and the tests run both ways.
* ``E``  the emulator's own choice, where nothing that we test leans on the answer.

How it is made, from the outside in:

===============  ===========================================================================
server, wire     HTTP, sign-in, JSON rowsets, query ids, asynchronous results
control          the statement log, latency, lost connections, the clock, denied privileges
engine           what happens to one statement; ``session`` is who sends it
containers       CREATE/CLONE/SWAP/RENAME/DROP/UNDROP of databases and schemas; ``cloning``
objects          what stands in a schema: ``tables`` and views, ``records`` that are metadata only
dml              rows that change; ``translate`` makes DuckDB's SQL from Snowflake's, ``functions`` its calls
scripting        EXECUTE IMMEDIATE $$ ... $$
grants, show*,   the answers about all that
infoschema       (``describe`` has GET_DDL too; ``timetravel`` says which past is meant)
catalog, store   the state: names point at objects, objects point at immutable row sets
===============  ===========================================================================

Self-tests: ``python -m emulator.selftest`` from ``tests/``; they stand in ``checks``, one sentence
each, and end with real dbt builds of ``project``. A new rule comes with the check that fails without it.

fakesnow supplies the dialect (its sqlglot transforms and macros for functions, semi-structured
types, MERGE and so on) and DuckDB the execution. The catalogue is our own: fakesnow maps a
database to a DuckDB database and a view to a DuckDB view, and neither can be cloned, swapped,
asked for its past, or keeps the text that its author wrote.
"""
