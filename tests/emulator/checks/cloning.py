"""CREATE ... CLONE."""


def a_clone_holds_the_rows_and_is_independent_of_its_source(World):
    with World() as w:
        w.shop()
        w.sql("create database B clone PROD", "insert into B.S.T values (3, 'c')", "delete from PROD.S.T where id = 1")
        assert w.sql("select id from B.S.T order by 1") == [(1,), (2,), (3,)]
        assert w.sql("select id from PROD.S.T") == [(2,)]


def a_cloned_view_keeps_its_text_and_resolves_relative_names_in_its_own_place(World):
    with World() as w:  # D (CL), D (CV)
        w.shop()
        w.sql("create database B clone PROD", "insert into B.S.T values (3, 'c')", "use schema PROD.S")
        counted = {v: w.sql(f"select count(*) from B.S.{v}")[0][0] for v in ("RELATIVE", "HALF", "ABSOLUTE")}
        assert counted == {"RELATIVE": 3, "HALF": 3, "ABSOLUTE": 2}
        assert w.names("show views in B.S", "text")[0] == "create view PROD.S.ABSOLUTE as select id from PROD.S.T"


def relative_names_can_be_switched_to_the_session_for_the_probe(World):
    with World(relative_names="session") as w:
        w.shop()
        w.sql("create database B clone PROD", "insert into B.S.T values (3, 'c')", "use schema PROD.S")
        assert w.sql("select count(*) from B.S.RELATIVE") == [(2,)]


def a_clone_needs_a_free_name_and_a_source(World):
    with World() as w:  # D (CS): atomic acquisition
        w.shop()
        w.sql("create database B clone PROD")
        w.refuses(2002, "create database B clone PROD")
        w.refuses(2003, "create database C clone NOPE")
        w.sql("create database if not exists B clone PROD", "create or replace database B clone PROD")


def creating_a_schema_makes_it_current(World):
    with World() as w:  # D (CS)
        w.shop()
        w.sql("create database OTHER", "create schema PROD.S2 clone PROD.S")
        assert w.sql("select current_database(), current_schema()") == [("PROD", "S2")]


def a_clone_silently_leaves_out_what_the_role_cannot_see(World):
    with World() as w:  # D (CL), trap 1
        w.shop()
        w.control(op="deny", role="ACCOUNTADMIN", privilege="SELECT", object="PROD.S.T")
        w.sql("create database B clone PROD")
        w.control(op="clear")
        assert "T" in w.names("show objects in PROD.S") and "T" not in w.names("show objects in B.S")


def a_denied_privilege_to_create_or_to_use_stops_the_clone(World):
    with World() as w:
        w.shop()
        w.control(op="deny", privilege="CREATE DATABASE")
        w.refuses(3001, "create database B clone PROD")
        w.control(op="clear")
        w.control(op="deny", privilege="CREATE SCHEMA", object="PROD")
        w.refuses(3001, "create schema PROD.B clone PROD.S")


def managed_access_is_lost_or_kept_by_a_plain_clone_as_switched(World):
    for value, options in (("no", ""), ("yes", "MANAGED ACCESS")):  # U
        with World(managed_access_kept=value) as w:
            w.sql(
                "create database PROD", "create schema PROD.S with managed access", "create schema PROD.C clone PROD.S"
            )
            assert w.rows("show schemas like 'C' in database PROD")[0]["options"] == options
            w.sql("create schema PROD.D clone PROD.S with managed access")
            assert w.rows("show schemas like 'D' in database PROD")[0]["options"] == "MANAGED ACCESS"


def a_transient_container_needs_create_transient_clone(World):
    with World() as w:  # D (TMP), I
        w.sql("create transient database PROD", "create schema PROD.S", "create table PROD.S.T (id int)")
        w.refuses(2119, "create database B clone PROD")
        w.sql("create transient database B clone PROD")
        assert w.rows("show databases like 'B'")[0]["options"] == "TRANSIENT"
        assert w.rows("show tables in B.S")[0]["kind"] == "TRANSIENT"
        w.sql("create database PERMANENT")
        w.refuses(2119, "create table PERMANENT.PUBLIC.P clone B.S.T")
    with World(transient_clone="inherits") as w:
        w.sql("create transient database PROD", "create database B clone PROD")
        assert w.rows("show databases like 'B'")[0]["options"] == "TRANSIENT"


def tasks_and_alerts_are_cloned_suspended_and_pipes_paused(World):
    with World() as w:  # D (CL)
        _things(w)
        w.sql("create schema PROD.C clone PROD.S")
        assert w.rows("show tasks in PROD.S")[0]["state"] == "started"
        assert w.rows("show tasks in PROD.C")[0]["state"] == "suspended"
        assert w.rows("show alerts in PROD.C")[0]["state"] == "suspended"
        assert w.rows("show dynamic tables in PROD.C")[0]["scheduling_state"] == "SUSPENDED"
        assert w.names("show pipes in PROD.C") == ["P_EXTERNAL"]
        assert w.sql("select system$pipe_status('PROD.C.P_EXTERNAL')") == [('{"executionState": "STOPPED_CLONED"}',)]
        w.sql(
            "create pipe PROD.S.P_BY_HAND as copy into PROD.S.T from @PROD.S.EXTERNAL",
            "create schema PROD.D clone PROD.S",
        )
        assert w.sql("select system$pipe_status('PROD.D.P_BY_HAND')") == [('{"executionState": "PAUSED"}',)]


def internal_stages_come_only_when_asked_for_and_external_tables_never(World):
    with World() as w:  # D (CL)
        _things(w)
        w.sql("create schema PROD.C clone PROD.S", "create schema PROD.D clone PROD.S include internal stages")
        assert w.names("show stages in PROD.C") == ["EXTERNAL"]
        assert w.names("show stages in PROD.D") == ["EXTERNAL", "INTERNAL"]
        assert w.names("show external tables in PROD.S") == ["X"] and w.names("show external tables in PROD.C") == []


def _things(w):
    w.shop()
    w.sql(
        "use schema PROD.S",
        "create stage INTERNAL",
        "create stage EXTERNAL url='s3://bucket/x'",
        "create pipe P_INTERNAL as copy into T from @INTERNAL",
        "create pipe P_EXTERNAL auto_ingest=true as copy into PROD.S.T from @EXTERNAL",
        "create task J warehouse=COMPUTE_WH schedule='60 minute' as insert into PROD.S.T values (9, 'z')",
        "alter task J resume",
        "create alert A warehouse=COMPUTE_WH schedule='1 minute' if (exists (select 1)) then select 1",
        "create dynamic table D target_lag='1 hour' warehouse=COMPUTE_WH as select id from T",
        "create external table X with location=@EXTERNAL file_format=(type=csv)",
        "create sequence Q start 5 increment 2",
        "create stream R on table T",
        "create stream R_QUALIFIED on table PROD.S.T",
    )


def tasks_are_left_out_of_a_schema_clone_at_a_time(World):
    with World() as w:  # D (CL)
        _things(w)
        w.sql("create schema PROD.C clone PROD.S at(offset => -0)")
        assert w.names("show tasks in PROD.C") == ["J"]
        now = w.sql("select to_varchar(current_timestamp())")[0][0]
        w.sql(f"create schema PROD.D clone PROD.S at(timestamp => '{now}'::timestamp_tz)")
        assert w.names("show tasks in PROD.D") == []


def streams_keep_a_qualified_source_and_remap_a_relative_one(World):
    with World() as w:  # D (CL), D (OC)
        _things(w)
        w.sql("create schema PROD.C clone PROD.S")
        assert {r["name"]: r["table_name"] for r in w.rows("show streams in PROD.C")} == {
            "R": "PROD.C.T",
            "R_QUALIFIED": "PROD.S.T",
        }


def a_hybrid_table_fails_a_schema_clone_or_is_skipped_as_switched(World):
    with World() as w:  # D against D
        w.sql("create database PROD", "create schema PROD.S", "create hybrid table PROD.S.H (id int primary key)")
        w.refuses(391411, "create schema PROD.C clone PROD.S")
        w.sql("create schema PROD.C clone PROD.S ignore hybrid tables", "create database B clone PROD")
        assert w.names("show tables in PROD.C") == [] and w.names("show tables in B.S") == ["H"]
    with World(hybrid_in_schema_clone="skip") as w:
        w.sql(
            "create database PROD",
            "create schema PROD.S",
            "create hybrid table PROD.S.H (id int)",
            "create schema PROD.C clone PROD.S",
        )


def a_cloned_sequence_goes_on_by_itself(World):
    with World() as w:
        _things(w)
        w.sql("create schema PROD.C clone PROD.S")
        assert w.rows("show sequences in PROD.C")[0]["next_value"] == "5"


def tags_and_comments_of_the_container_are_cloned(World):
    with World() as w:  # D (OC) for tags; U for the comment
        w.sql(
            "create database PROD comment='r42' data_retention_time_in_days=7 tag (stamp='42')",
            "create database B clone PROD",
        )
        assert w.rows("show databases like 'B'")[0]["comment"] == "r42"
    with World(clone_comment="lost", clone_retention="lost") as w:
        w.sql("create database PROD comment='r42' data_retention_time_in_days=7", "create database B clone PROD")
        assert [(r["comment"], r["retention_time"]) for r in w.rows("show databases like 'B'")] == [("", "1")]
