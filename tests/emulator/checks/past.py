"""Time Travel."""

DAY = 86400


def _now(w):
    return w.sql("select to_varchar(sysdate(), 'YYYY-MM-DD HH24:MI:SS.FF') || 'Z'")[0][0]


def _stamp(w):
    import time

    time.sleep(0.01)
    stamp = _now(w)
    time.sleep(0.01)
    return f"'{stamp}'::timestamp_tz"


def a_clone_at_a_time_holds_what_was_there(World):
    with World() as w:  # D (AB)
        w.shop()
        then = _stamp(w)
        w.sql("delete from PROD.S.T", "drop table PROD.S.T", f"create database B clone PROD at(timestamp => {then})")
        assert w.sql("select count(*) from B.S.T") == [(2,)]
        w.sql(f"create schema PROD.S2 clone PROD.S before(timestamp => {then})")
        assert w.sql("select count(*) from PROD.S2.T") == [(2,)]


def a_statement_id_names_the_state_with_or_before_it(World):
    with World() as w:  # D (AB/CL)
        w.shop()
        w.sql("insert into PROD.S.T values (3, 'c')")
        query_id = w.query_id
        w.sql("insert into PROD.S.T values (4, 'd')")
        w.sql(
            f"create database A clone PROD at(statement => '{query_id}')",
            f"create database B clone PROD before(statement => '{query_id}')",
        )
        assert w.sql("select (select count(*) from A.S.T), (select count(*) from B.S.T)") == [(3, 2)]


def only_dml_tcl_and_select_ids_are_taken(World):
    with World() as w:  # D (CL/AB)
        w.shop()
        w.sql("create table PROD.S.U (id int)")
        w.refuses(709, f"create database A clone PROD at(statement => '{w.query_id}')")
        w.refuses(709, "create database A clone PROD at(statement => '00000000-0000-0000-0000-000000000000')")


def time_travel_follows_the_object_and_not_the_name(World):
    with World() as w:  # I (2), trap 2
        w.shop()
        before = _stamp(w)
        w.sql("create database B clone PROD", "insert into B.S.T values (3, 'half built')")
        between = _stamp(w)
        w.sql("insert into B.S.T values (4, 'built')", "alter database PROD swap with B")
        w.refuses(707, f"create database X clone PROD at(timestamp => {before})")
        w.sql(f"create database X clone PROD at(timestamp => {between})")
        assert w.sql("select count(*) from X.S.T") == [(3,)]  # the half-built state, silently
        w.sql(f"create database Y clone B at(timestamp => {before})")
        assert w.sql("select count(*) from Y.S.T") == [(2,)]


def time_travel_can_be_switched_to_follow_the_name(World):
    with World(time_travel_follows="name") as w:
        w.shop()
        before = _stamp(w)
        w.sql(
            "create database B clone PROD",
            "insert into B.S.T values (3, 'c')",
            "alter database PROD swap with B",
            f"create database X clone PROD at(timestamp => {before})",
        )
        assert w.sql("select count(*) from X.S.T") == [(2,)]


def past_the_retention_the_documented_error_names_the_object(World):
    with World() as w:  # D (CL)
        w.shop()
        then = _stamp(w)
        w.control(op="clock", advance=2 * DAY)
        refused = w.refuses(707, f"create database X clone PROD at(timestamp => {then})")
        assert (
            "Time travel data is not available for database PROD. The requested time is either beyond the allowed"
            in refused.message
        )
        w.sql(
            "alter database PROD set data_retention_time_in_days = 7",
            f"create database X clone PROD at(timestamp => {then})",
        )


def one_expired_child_fails_the_whole_clone_unless_ignored(World):
    with World() as w:  # D (OC/CL)
        w.shop()
        w.sql("alter database PROD set data_retention_time_in_days = 7", "create transient table PROD.S.SHORT (id int)")
        then = _stamp(w)
        w.control(op="clock", advance=2 * DAY)
        assert "SHORT" in w.refuses(707, f"create database X clone PROD at(timestamp => {then})").message
        w.sql(f"create database X clone PROD at(timestamp => {then}) ignore tables with insufficient data retention")
        assert w.names("show tables in X.S") == ["T"]


def a_transient_container_keeps_at_most_a_day(World):
    with World() as w:  # D (TT)
        w.refuses(1008, "create transient database D data_retention_time_in_days = 2")
        w.sql("create transient database D data_retention_time_in_days = 1")


def a_source_that_was_not_there_is_an_error(World):
    with World() as w:
        then = _stamp(w)
        w.shop()
        w.refuses(707, f"create database X clone PROD at(timestamp => {then})")
        w.refuses(2003, "create database X clone NOPE at(offset => -1)")


def a_replaced_view_is_cloned_as_then_or_as_now_as_switched_and_a_dropped_one_never(World):
    for value, number in (("then", 2), ("now", 1)):  # U; D (CL)
        with World(at_clone_view=value) as w:
            w.shop()
            then = _stamp(w)
            w.sql(
                "create or replace view PROD.S.HALF as select id from S.T where id = 1",
                "drop view PROD.S.RELATIVE",
                f"create database X clone PROD at(timestamp => {then})",
            )
            assert w.sql("select count(*) from X.S.HALF") == [(number,)]
            assert "RELATIVE" not in w.names("show views in X.S")


def a_table_can_be_asked_for_its_past_and_brought_back(World):
    with World() as w:
        w.shop()
        then = _stamp(w)
        w.sql("delete from PROD.S.T")
        assert w.sql(f"select count(*) from PROD.S.T at(timestamp => {then})") == [(2,)]
        w.sql(
            f"create table PROD.S.OLD clone PROD.S.T at(timestamp => {then})",
            "drop table PROD.S.T",
            "undrop table PROD.S.T",
        )
        assert w.sql("select (select count(*) from PROD.S.OLD), (select count(*) from PROD.S.T)") == [(2, 0)]


def a_replaced_table_has_no_past_of_its_own(World):
    with World() as w:
        w.shop()
        then = _stamp(w)
        w.sql("create or replace table PROD.S.T as select 7 as id")
        w.refuses(707, f"select * from PROD.S.T at(timestamp => {then})")


def a_schema_has_no_past_before_it_was_created(World):
    with World() as w:  # D (CL)
        w.sql("create database PROD")
        then = _stamp(w)
        w.sql("create schema PROD.S", "create table PROD.S.T as select 1 as id")
        w.refuses(707, f"create schema PROD.X clone PROD.S at(timestamp => {then})")


def the_past_of_a_schema_follows_the_object_or_as_switched_the_name(World):
    for value, number in (("object", 2), ("name", 1)):  # I (2), trap 2
        with World(time_travel_follows=value) as w:
            w.sql("create database D")
            for name, rows in (("A", 1), ("B", 2)):
                w.sql(f"create schema D.{name}", f"create table D.{name}.T as select {rows} as id")
            then = _stamp(w)
            w.sql("alter schema D.A swap with D.B", f"create schema D.X clone D.A at(timestamp => {then})")
            assert w.sql("select id from D.X.T") == [(number,)]


def waiting_takes_a_unit(World):
    import time

    with World() as w:  # D (/sql-reference/functions/system_wait)
        begun = time.monotonic()
        assert w.sql("select system$wait(20, 'MILLISECONDS')") == [("waited 20 milliseconds",)]
        assert 0.02 <= time.monotonic() - begun < 5
