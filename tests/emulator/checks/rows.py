"""Rows, names, views and transactions."""

import threading
import time


def dml_answers_the_numbers_of_rows(World):
    with World() as w:
        w.shop()
        w.sql("use schema PROD.S")
        assert w.rows("insert into T values (3, 'c'), (4, 'd')") == [{"number of rows inserted": 2}]
        assert w.rows("update T set name = 'z' where id > 2")[0]["number of rows updated"] == 2
        merged = w.rows(
            "merge into T using (select 1 as id, 'm' as n union all select 9, 'n') s on T.id = s.id when matched then update set T.name = s.n when not matched then insert (id, name) values (s.id, s.n)"
        )
        assert merged == [{"number of rows inserted": 1, "number of rows updated": 1}]
        assert w.rows("delete from T where id = 9") == [{"number of rows deleted": 1}]


def one_row_changed_tells_who_won_a_compare_and_set(World):
    with World() as w:  # facts, 6
        w.sql(
            "create database L",
            "create table L.PUBLIC.LEASE (id int, holder varchar, expires timestamp_tz)",
            "insert into L.PUBLIC.LEASE values (1, null, null)",
        )
        take = "update L.PUBLIC.LEASE set holder = '{}', expires = dateadd(minute, 5, current_timestamp()) where id = 1 and (holder is null or expires < current_timestamp())"
        won = []
        others = [w.connect() for _ in range(4)]

        def race(i):
            won.append(w.sql(take.format(i), on=others[i])[0][0])

        threads = [threading.Thread(target=race, args=(i,)) for i in range(4)]
        [t.start() for t in threads], [t.join(20) for t in threads]
        assert sorted(won) == [0, 0, 0, 1]


def updates_wait_for_each_other_and_inserts_do_not(World):
    with World() as w:  # D (TX)
        w.shop()
        other = w.connect()
        w.sql("begin", "update PROD.S.T set name = 'mine' where id = 1")
        w.sql("insert into PROD.S.T values (3, 'theirs')", on=other)
        w.sql("alter session set lock_timeout = 1", on=other)
        w.refuses(625, "update PROD.S.T set name = 'theirs'", on=other)
        w.sql("commit")
        assert w.sql("select id, name from PROD.S.T order by id") == [(1, "mine"), (2, "b"), (3, "theirs")]


def concurrent_inserts_in_transactions_are_all_kept(World):
    with World() as w:
        w.shop()
        other = w.connect()
        w.sql("begin", "insert into PROD.S.T values (3, 'c')")
        w.sql("begin", "insert into PROD.S.T values (4, 'd')", on=other)
        assert w.sql("select count(*) from PROD.S.T") == [(3,)]
        w.sql("commit", on=other), w.sql("commit")
        assert w.sql("select count(*) from PROD.S.T") == [(4,)]


def ddl_commits_an_open_transaction_and_cannot_be_rolled_back(World):
    with World() as w:  # D (TX)
        w.shop()
        w.sql("begin", "insert into PROD.S.T values (3, 'c')", "create table PROD.S.U (id int)", "rollback")
        assert w.sql("select count(*) from PROD.S.T") == [(3,)]
        assert "U" in w.names("show tables in PROD.S")


def a_rollback_takes_rows_back(World):
    with World() as w:
        w.shop()
        w.sql("begin", "delete from PROD.S.T", "rollback")
        assert w.sql("select count(*) from PROD.S.T") == [(2,)]


def quoted_and_odd_names_work_everywhere(World):
    with World() as w:
        w.sql(
            'create database "my ""odd"" db"',
            'create schema "my ""odd"" db"."s.1"',
            'create table "my ""odd"" db"."s.1"."Täble" ("odd col" int, b int)',
        )
        w.sql(
            'insert into "my ""odd"" db"."s.1"."Täble" values (1, 2)',
            'create view "my ""odd"" db"."s.1".v as select "odd col" from "Täble"',
            'create database c clone "my ""odd"" db"',
        )
        assert w.sql('select "odd col" from c."s.1".v') == [(1,)]
        assert w.names("show tables in database C") == ["Täble"]
        assert w.rows('show grants on table c."s.1"."Täble"')[0]["name"] == 'C."s.1"."Täble"'
        w.refuses(2003, 'select * from "C".PUBLIC."t"')


def identifier_and_bind_variables_resolve(World):
    with World() as w:
        w.shop()
        assert w.sql("select count(*) from identifier('PROD.S.T')") == [(2,)]
        import snowflake.connector

        snowflake.connector.paramstyle = "qmark"
        try:
            one = w.connect()
        finally:
            snowflake.connector.paramstyle = "pyformat"
        assert one.cursor().execute("select name from PROD.S.T where id = ?", (2,)).fetchall() == [("b",)]
        one.cursor().executemany("insert into PROD.S.T values (?, ?)", [(5, "x"), (6, None)])
        assert w.sql("select count(*), count(name) from PROD.S.T") == [(4, 3)]


def a_with_entry_hides_a_table_and_may_read_the_table_of_its_own_name(World):
    with World() as w:
        w.shop()
        w.sql("use schema PROD.S")
        assert w.sql("with T as (select * from T where id = 1) select count(*) from T") == [(1,)]


def a_view_fails_when_its_columns_no_longer_fit_or_a_table_is_gone(World):
    with World() as w:  # D (CV)
        w.shop()
        w.sql("create view PROD.S.STAR as select * from T", "alter table PROD.S.T add column extra int")
        w.refuses(2057, "select * from PROD.S.STAR")
        w.sql("drop table PROD.S.T")
        w.refuses(2037, "select * from PROD.S.RELATIVE")


def create_or_replace_view_is_checked_at_once_and_leaves_the_old_one_if_it_fails(World):
    with World() as w:  # D (GD)
        w.shop()
        w.refuses(2003, "create or replace view PROD.S.HALF as select * from NOPE")
        w.refuses(904, "create or replace view PROD.S.HALF as select nope from S.T")
        assert w.sql("select count(*) from PROD.S.HALF") == [(2,)]


def temporary_tables_belong_to_their_session(World):
    with World() as w:
        w.shop()
        w.sql(
            "use schema PROD.S",
            "create temporary table TMP as select 1 as x",
            "create temporary view TMPV as select x from TMP",
        )
        assert w.sql("select x from TMPV") == [(1,)]
        w.refuses(2003, "select * from PROD.S.TMP", on=w.connect())


def hash_agg_ignores_order_and_counts_duplicates(World):
    with World() as w:  # facts, 5
        w.sql(
            "create database D",
            "create table D.PUBLIC.A as select * from values (1,'x'),(2,'y') v(a,b)",
            "create table D.PUBLIC.B as select * from values (2,'y'),(1,'x') v(a,b)",
        )
        h = [w.sql(f"select hash_agg(*) from D.PUBLIC.{t}") for t in "AB"]
        assert h[0] == h[1]
        w.sql("insert into D.PUBLIC.B values (1,'x')")
        assert w.sql("select hash_agg(*) from D.PUBLIC.B") != h[0]
        w.sql("delete from D.PUBLIC.B")
        assert w.sql("select hash_agg(*), hash_agg(a) from D.PUBLIC.B") == [(0, 0)]


def values_arrive_as_their_types(World):
    with World() as w:
        row = w.sql(
            "select 1.50::number(10,2), true, null::boolean, '2026-01-02'::date, '2026-01-02 03:04:05.678'::timestamp_ntz, parse_json('{\"a\":1}'), 1.5::float, '12:30:00'::time, 'O''Br\\\\ien\\n'"
        )[0]
        assert (
            str(row[0]) == "1.50"
            and row[1] is True
            and row[2] is None
            and row[3].day == 2
            and row[4].microsecond == 678000
        ), row
        assert '"a"' in row[5] and row[6] == 1.5 and row[7].hour == 12 and row[8] == "O'Br\\ien\n", row


def sums_and_counts_stay_whole_numbers(World):
    with World() as w:
        w.shop()
        assert w.sql("select sum(id), count(*), max(id) from PROD.S.T") == [(3, 2, 2)]
        assert [d.type_code for d in w.main.cursor().execute("select sum(id) from PROD.S.T").description] == [0]


def a_waiting_statement_does_not_stop_the_others(World):
    with World() as w:
        other, began = w.connect(), time.monotonic()
        waiting = threading.Thread(target=w.sql, args=("select system$wait(2)",), kwargs={"on": other})
        waiting.start()
        w.sql("select 1")
        assert time.monotonic() - began < 1.8
        waiting.join(10)


def words_that_only_duckdb_reserves_are_names(World):
    with World() as w:
        w.sql("create database D", "create table D.PUBLIC.L (at timestamp_tz, entry variant)")
        w.sql("insert into D.PUBLIC.L (at, entry) select current_timestamp(), parse_json('{\"a\": 1}')")
        assert w.sql("select entry:a::int, at is not null from D.PUBLIC.L order by at") == [(1, True)]
