"""SWAP, RENAME, DROP, UNDROP and the scripting block that swaps several."""

import threading


def _two(w):
    w.shop()
    w.sql("create database B clone PROD", "insert into B.S.T values (3, 'c')", "comment on database B is 'r43'")


def a_swap_exchanges_the_names_of_both_databases(World):
    with World() as w:  # D (AD)
        _two(w)
        before = {r["name"]: r["created_on"] for r in w.rows("show databases")}
        w.sql("alter database PROD swap with B")
        after = {r["name"]: (r["created_on"], r["comment"]) for r in w.rows("show databases")}
        assert after == {"PROD": (before["B"], "r43"), "B": (before["PROD"], "")}
        assert w.sql("select count(*) from PROD.S.T") == [(3,)]


def a_view_that_names_the_build_reads_the_old_rows_after_the_swap(World):
    with World() as w:  # D/I (8), trap 3
        _two(w)
        w.sql("create or replace view B.S.ABSOLUTE as select id from B.S.T", "alter database PROD swap with B")
        assert w.sql("select count(*) from PROD.S.ABSOLUTE") == [(2,)]
        w.sql("drop database B")
        w.refuses(2037, "select * from PROD.S.ABSOLUTE")


def a_view_whose_qualifier_was_dropped_means_the_right_thing_under_any_name(World):
    with World() as w:
        _two(w)
        w.sql("create or replace view B.S.ABSOLUTE as select id from S.T", "alter database PROD swap with B")
        assert w.sql("select count(*) from PROD.S.ABSOLUTE") == [(3,)] and w.sql(
            "select count(*) from B.S.RELATIVE"
        ) == [(2,)]


def a_swap_is_its_own_inverse(World):
    with World() as w:
        _two(w)
        w.sql("alter database PROD swap with B", "alter database PROD swap with B")
        assert w.sql("select count(*) from PROD.S.T") == [(2,)]


def a_swap_needs_both_names_and_ownership_of_both(World):
    with World() as w:  # D (AS/AD)
        _two(w)
        w.refuses(2003, "alter database PROD swap with NOPE")
        w.refuses(2003, "alter database NOPE swap with B")
        w.sql("alter database if exists NOPE swap with B")  # reports success: leave IF EXISTS out
        for object_ in ("PROD", "B"):
            w.control(op="deny", privilege="OWNERSHIP", object=object_)
            w.refuses(3001, "alter database PROD swap with B")
            w.control(op="clear")


def schemas_swap_within_a_database_and_across_as_switched(World):
    with World() as w:
        w.shop()
        w.sql("create schema PROD.S2 clone PROD.S", "delete from PROD.S2.T", "alter schema PROD.S swap with PROD.S2")
        assert w.sql("select count(*) from PROD.S.T") == [(0,)] and w.sql("select count(*) from PROD.S2.HALF") == [(0,)]
    with World() as w:
        _two(w)
        w.sql("alter schema PROD.S swap with B.S")
        assert w.sql("select count(*) from PROD.S.RELATIVE") == [(3,)] and w.sql("select count(*) from B.S.HALF") == [
            (2,)
        ]
        assert w.rows("show tables in PROD.S")[0]["database_name"] == "PROD"
    with World(swap_schemas_across_databases="refused") as w:
        _two(w)
        w.refuses(2118, "alter schema PROD.S swap with B.S")


def transient_and_permanent_swap_only_as_switched(World):
    for value in ("refused", "allowed"):  # U
        with World(swap_transient_with_permanent=value) as w:
            w.sql("create database A", "create transient database B")
            if value == "refused":
                w.refuses(2118, "alter database A swap with B")
            else:
                w.sql("alter database A swap with B")
                assert w.rows("show databases like 'A'")[0]["options"] == "TRANSIENT"


def what_is_on_the_container_travels_with_it_or_stays_as_switched(World):
    for value, comment in (("travels", "r43"), ("stays", "")):  # I
        with World(container_metadata=value) as w:
            _two(w)
            w.sql("alter database PROD swap with B")
            assert w.rows("show databases like 'PROD'")[0]["comment"] == comment


def swapping_suspends_materialized_views(World):
    with World() as w:  # D (MV), trap 5
        w.shop()
        w.sql(
            "create materialized view PROD.S.M as select count(*) as n from PROD.S.T",
            "create database B clone PROD",
            "alter database PROD swap with B",
        )
        assert w.rows("show materialized views in PROD.S")[0]["invalid"] == "true"


def a_stream_outside_follows_the_old_object_through_a_swap(World):
    with World() as w:  # D (OD/ST)
        _two(w)
        w.sql("create database OUT", "create stream OUT.PUBLIC.R on table PROD.S.T", "alter database PROD swap with B")
        assert w.rows("show streams in OUT.PUBLIC")[0]["table_name"] == "B.S.T"


def a_rename_moves_the_name_and_keeps_the_object(World):
    with World() as w:
        _two(w)
        created = w.rows("show databases like 'B'")[0]["created_on"]
        w.sql("alter database B rename to PROD__R42")
        assert w.rows("show databases like 'PROD__R42'")[0]["created_on"] == created
        w.refuses(2003, "select * from B.S.T")
        w.refuses(2002, "alter database PROD__R42 rename to PROD")


def undrop_brings_back_a_database_unless_the_name_is_taken(World):
    with World() as w:  # D (TT)
        _two(w)
        w.sql("drop database B")
        w.refuses(2043, "use database B")
        w.sql("undrop database B")
        assert w.sql("select count(*) from B.S.T") == [(3,)]
        w.sql("drop schema B.S", "create schema B.S")
        w.refuses(2002, "undrop schema B.S")
        w.sql("alter schema B.S rename to B.S_NEW", "undrop schema B.S")
        assert w.sql("select count(*) from B.S.T") == [(3,)]


BLOCK = """execute immediate $$
declare
  done integer default 0;
begin
  alter schema PROD.A swap with PROD.A_NEW;
  done := done + 1;
  alter schema PROD.B swap with PROD.B_NEW;
  done := done + 1;
  return 'swapped ' || done;
exception
  when other then
    let why := sqlerrm;
    if (done >= 2) then
      alter schema PROD.B swap with PROD.B_NEW;
    end if;
    if (done >= 1) then
      alter schema PROD.A swap with PROD.A_NEW;
    end if;
    raise;
end;
$$"""


def _four(w):
    w.sql("create database PROD")
    for name in ("A", "B"):
        w.sql(
            f"create schema PROD.{name}",
            f"create table PROD.{name}.T as select 'old' as v",
            f"create schema PROD.{name}_NEW",
            f"create table PROD.{name}_NEW.T as select 'new' as v",
        )


def one_block_swaps_several_schemas(World):
    with World() as w:  # D (scripting)
        _four(w)
        assert w.sql(BLOCK) == [("swapped 2",)]
        assert w.sql("select a.v, b.v from PROD.A.T a, PROD.B.T b") == [("new", "new")]


def a_failing_swap_in_a_block_is_compensated_and_the_error_is_raised(World):
    with World() as w:
        _four(w)
        w.control(op="fault", action="error", match="PROD.B swap", inner=True, code=603, message="lost it")
        assert "lost it" in w.refuses(603, BLOCK).message
        assert w.sql("select a.v, b.v from PROD.A.T a, PROD.B.T b") == [("old", "old")]


def a_block_is_no_transaction_where_nothing_compensates(World):
    with World(scripting_exception="ignored") as w:  # D (TX)
        _four(w)
        w.sql("drop schema PROD.B_NEW")
        w.refuses(2003, BLOCK)
        assert w.sql("select a.v, b.v from PROD.A.T a, PROD.B.T b") == [("new", "old")]


def a_watch_sees_the_window_inside_a_block(World):
    with World() as w:  # facts, 3
        _four(w)
        w.control(op="watch", sql=["select a.v, b.v from PROD.A.T a, PROD.B.T b"], databases=["PROD"])
        w.sql(BLOCK)
        seen = [tuple(a["rows"][0]) for a in w.get("/emulator/watch") if "a.v" in a["sql"]]
        assert seen == [("old", "old"), ("new", "old"), ("new", "new")]


def readers_see_one_release_or_the_other_during_a_swap(World):
    with World() as w:
        _two(w)
        seen, stop = set(), threading.Event()
        other = w.connect()

        def read():
            while not stop.is_set():
                seen.add(
                    tuple(
                        w.sql(
                            "select (select count(*) from PROD.S.T), (select count(*) from PROD.S.RELATIVE)", on=other
                        )[0]
                    )
                )

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(10):
            w.sql("alter database PROD swap with B")
        stop.set()
        reader.join(10)
        assert seen <= {(2, 2), (3, 3)}, seen


def scripting_knows_loops_conditions_and_declared_exceptions(World):
    with World() as w:
        w.shop()
        text = """begin
          let n := 0;
          for i in 1 to 3 do
            n := n + i;
          end for;
          while (n < 10) do
            n := n + 1;
          end while;
          let rows_now := (select count(*) from PROD.S.T);
          if (n = 10 and rows_now = 2) then
            update PROD.S.T set name = :n where id = 1;
          elseif (n = 11) then
            return 'no';
          else
            return 'never';
          end if;
          return sqlrowcount;
        end"""
        assert w.sql(text) == [("1",)]
        assert w.sql("select name from PROD.S.T where id = 1") == [("10",)]
        guarded = "declare lost exception (-20005, 'the lease is lost'); begin if (1 = 1) then raise lost; end if; end"
        assert "the lease is lost" in w.refuses(20005, f"execute immediate $${guarded}$$").message


def a_block_can_read_the_holder_and_refuse_to_swap(World):
    with World() as w:  # the fencing token, tested where the swap happens
        _four(w)
        w.sql(
            "create table PROD.PUBLIC.LEASE (holder varchar, taken timestamp_ltz default current_timestamp())",
            "insert into PROD.PUBLIC.LEASE (holder) values ('run 1')",
        )
        text = """begin
          let who varchar := '';
          let name varchar := 'PROD.A';
          select holder into :who from PROD.PUBLIC.LEASE;
          if (who <> '{}') then
            return 'lost';
          end if;
          alter schema identifier(:name) swap with PROD.A_NEW;
          return 'swapped';
        end"""
        assert w.sql(text.format("run 2")) == [("lost",)] and w.sql("select v from PROD.A.T") == [("old",)]
        assert w.sql(text.format("run 1")) == [("swapped",)] and w.sql("select v from PROD.A.T") == [("new",)]
