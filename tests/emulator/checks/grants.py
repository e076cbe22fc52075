"""Privileges."""


def _held(w, on):
    return {(r["privilege"], r["grantee_name"]) for r in w.rows(f"show grants on {on}")}


def grants_on_objects_are_listed_with_the_documented_columns(World):
    with World() as w:  # D (SG)
        w.shop()
        w.sql("grant select, insert on table PROD.S.T to role READER with grant option")
        rows = w.rows("show grants on table PROD.S.T")
        assert (
            list(rows[0])
            == "created_on privilege granted_on name granted_to grantee_name grant_option granted_by granted_by_role_type".split()
        )
        assert {(r["privilege"], r["grantee_name"], r["grant_option"]) for r in rows} == {
            ("OWNERSHIP", "ACCOUNTADMIN", "true"),
            ("SELECT", "READER", "true"),
            ("INSERT", "READER", "true"),
        }
        w.sql("revoke insert on PROD.S.T from role READER")
        assert _held(w, "table PROD.S.T") == {("OWNERSHIP", "ACCOUNTADMIN"), ("SELECT", "READER")}
        w.refuses(2003, "grant select on table PROD.S.T to role NOBODY")


def a_clone_has_its_childrens_grants_and_future_grants_but_not_its_own(World):
    with World() as w:  # D (OC/AC)
        w.shop()
        w.sql(
            "grant usage on database PROD to role READER",
            "grant usage on schema PROD.S to role READER",
            "grant select on all tables in database PROD to role READER",
            "grant select on future views in schema PROD.S to role READER",
            "create database B clone PROD",
        )
        assert ("USAGE", "READER") not in _held(w, "database B")
        assert ("USAGE", "READER") in _held(w, "schema B.S") and ("SELECT", "READER") in _held(w, "table B.S.T")
        assert [(r["name"], r["grant_on"]) for r in w.rows("show future grants in schema B.S")] == [
            ("B.S.<VIEW>", "VIEW")
        ]


def inherited_grants_are_not_cloned_unless_switched(World):
    for value, number in (("no", 0), ("yes", 1)):  # I (4), trap 4
        with World(inherited_grants_cloned=value) as w:
            w.shop()
            w.sql(
                "grant inherited select on all tables in database PROD to role READER", "create database B clone PROD"
            )
            assert len(w.rows("show inherited grants in database PROD")) == 1
            assert len(w.rows("show inherited grants in database B")) == number


def grants_travel_with_the_object_in_a_swap_or_stay_as_switched(World):
    for switches, mine in (({}, False), ({"container_grants": "stay", "future_grants": "stay"}, True)):
        with World(**switches) as w:
            w.shop()
            w.sql(
                "grant usage on database PROD to role READER",
                "grant select on future tables in database PROD to role READER",
                "create database B",
                "alter database PROD swap with B",
            )
            assert (("USAGE", "READER") in _held(w, "database PROD")) is mine
            assert bool(w.rows("show future grants in database PROD")) is mine


def a_rebuilt_table_loses_its_grants_unless_copied_or_future(World):
    with World() as w:  # D (8), D (CV)
        w.shop()
        w.sql("grant select on table PROD.S.T to role READER", "create or replace table PROD.S.T as select 1 as id")
        assert ("SELECT", "READER") not in _held(w, "table PROD.S.T")
        w.sql(
            "grant select on table PROD.S.T to role READER",
            "grant insert on future tables in schema PROD.S to role ANALYST",
            "create or replace table PROD.S.T copy grants as select 1 as id",
        )
        assert _held(w, "table PROD.S.T") == {("OWNERSHIP", "ACCOUNTADMIN"), ("SELECT", "READER")}
        w.sql("create or replace table PROD.S.T as select 1 as id")
        assert _held(w, "table PROD.S.T") == {("OWNERSHIP", "ACCOUNTADMIN"), ("INSERT", "ANALYST")}


def a_schemas_future_grants_go_before_its_databases(World):
    with World() as w:  # D (AC)
        w.shop()
        w.sql(
            "grant select on future tables in database PROD to role READER",
            "grant select on future tables in schema PROD.S to role ANALYST",
            "create table PROD.S.N (id int)",
            "create table PROD.PUBLIC.N (id int)",
        )
        assert ("SELECT", "READER") not in _held(w, "table PROD.S.N") and ("SELECT", "READER") in _held(
            w, "table PROD.PUBLIC.N"
        )


def database_roles_are_cloned_with_their_database_and_remapped(World):
    with World() as w:  # D (OC)
        w.shop()
        w.sql(
            "create database role PROD.R",
            "grant select on table PROD.S.T to database role PROD.R",
            "grant database role PROD.R to role READER",
            "create database B clone PROD",
            "drop database role PROD.R",
        )
        rows = [r for r in w.rows("show grants on table B.S.T") if r["granted_to"] == "DATABASE_ROLE"]
        assert [(r["privilege"], r["grantee_name"]) for r in rows] == [("SELECT", "R")]
        assert w.names("show database roles in database B") == ["R"]
        assert len(w.rows("show grants to database role B.R")) == 1


def share_grants_stay_on_the_old_object(World):
    with World() as w:  # I (2)
        w.shop()
        w.sql(
            "create share OUT",
            "grant usage on database PROD to share OUT",
            "grant select on table PROD.S.T to share OUT",
            "create database B clone PROD",
        )
        assert not [r for r in w.rows("show grants on table B.S.T") if r["granted_to"] == "SHARE"]
        w.sql("alter database PROD swap with B")
        assert [r["granted_to"] for r in w.rows("show grants on database B") if r["privilege"] == "USAGE"] == ["SHARE"]
        assert w.rows("show shares")[0]["database_name"] == "B"


def one_view_answers_for_the_privileges_on_every_object(World):
    with World() as w:
        w.shop()
        w.sql("grant select on all views in schema PROD.S to role READER")
        rows = w.sql(
            "select object_name, privilege_type from PROD.information_schema.object_privileges where grantee = 'READER' order by 1"
        )
        assert rows == [("ABSOLUTE", "SELECT"), ("HALF", "SELECT"), ("RELATIVE", "SELECT")]


def enforced_grants_shut_readers_out_until_they_may_read(World):
    with World() as w:
        w.shop()
        w.control(op="enforce", on=True)
        reader = w.connect(role="READER")
        w.refuses(2003, "select * from PROD.S.T", on=reader)
        w.sql("grant usage on database PROD to role READER", "grant usage on schema PROD.S to role READER")
        w.refuses(3001, "select * from PROD.S.T", on=reader)
        w.sql("grant select on view PROD.S.RELATIVE to role READER")
        assert len(w.sql("select * from PROD.S.RELATIVE", on=reader)) == 2  # a view reads with its owner's rights
        w.sql("grant inherited select on all tables in schema PROD.S to role READER")
        assert len(w.sql("select * from PROD.S.T", on=reader)) == 2
        w.refuses(3001, "alter database PROD swap with PROD", on=reader)


def future_and_inherited_grants_need_manage_grants_and_are_hidden_without(World):
    with World() as w:  # D (IGU/SG)
        w.shop()
        w.sql("grant select on future tables in database PROD to role READER")
        w.control(op="deny", role="DEPLOYER", privilege="MANAGE GRANTS")
        w.control(op="deny", role="DEPLOYER", privilege="OWNERSHIP")
        deployer = w.connect(role="DEPLOYER")
        w.refuses(3001, "grant inherited select on all tables in database PROD to role READER", on=deployer)
        assert w.rows("show future grants in database PROD", on=deployer) == []


def grants_to_and_of_a_role_are_listed(World):
    with World() as w:
        w.shop()
        w.sql("grant role READER to role ANALYST", "grant select on table PROD.S.T to role READER")
        assert [r["grantee_name"] for r in w.rows("show grants of role READER")] == ["ANALYST"]
        assert [r["name"] for r in w.rows("show grants to role READER")] == ["PROD.S.T"]


def show_grants_on_an_object_lists_inherited_ones_as_switched(World):
    for value, number in (("no", 0), ("yes", 1)):  # U
        with World(show_grants_lists_inherited=value) as w:
            w.shop()
            w.sql("grant inherited select on all tables in schema PROD.S to role READER")
            assert len([r for r in w.rows("show grants on table PROD.S.T") if r["privilege"] == "SELECT"]) == number


def what_a_dropped_role_owned_goes_to_whoever_drops_it(World):
    with World() as w:  # D (/sql-reference/sql/drop-role)
        w.shop()
        w.sql(
            "grant role READER to role ANALYST",
            "grant ownership on table PROD.S.T to role READER",
            "grant ownership on schema PROD.S to role READER",
            "drop role READER",
        )
        assert ("OWNERSHIP", "ACCOUNTADMIN") in _held(w, "table PROD.S.T")
        assert _held(w, "schema PROD.S") == {("OWNERSHIP", "ACCOUNTADMIN")}
        assert w.rows("show grants to role ANALYST") == []  # all grants that name it are revoked


def a_role_is_created_by_those_who_may(World):
    with World() as w:  # D (/sql-reference/sql/create-role): CREATE ROLE
        w.control(op="deny", privilege="CREATE ROLE")
        w.refuses(3001, "create role NEWCOMER")
