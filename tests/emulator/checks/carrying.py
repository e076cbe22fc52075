"""What is asked of an account before and after a swap: roles, tags, signatures, task graphs."""


def a_role_is_in_the_session_by_itself_or_by_inheritance(World):
    with World() as w:  # D (/sql-reference/functions/is_role_in_session)
        w.sql("grant role READER to role DEPLOYER")
        deployer = w.connect(role="DEPLOYER")
        asked = "select is_role_in_session('DEPLOYER'), is_role_in_session('READER'), is_role_in_session('ANALYST')"
        assert w.sql(asked, on=deployer) == [(True, True, False)]
        assert w.sql("select is_role_in_session('SECURITYADMIN')", on=deployer) == [(True,)]
        w.control(op="deny", role="DEPLOYER", privilege="MANAGE GRANTS")
        assert w.sql("select is_role_in_session('SECURITYADMIN')", on=deployer) == [(False,)]


def tags_are_listed_with_the_level_they_are_set_on(World):
    with World() as w:  # D (/sql-reference/functions/tag_references)
        w.shop()
        w.sql(
            "create database GOV",
            "create tag GOV.PUBLIC.COST",
            "alter database PROD set tag GOV.PUBLIC.COST = 'it''s'",
            "alter schema PROD.S set tag GOV.PUBLIC.COST = 'low'",
        )
        asked = "select tag_database, tag_schema, tag_name, tag_value, level from table(PROD.information_schema.tag_references('{}', '{}'))"
        assert w.sql(asked.format("PROD.S", "schema")) == [
            ("GOV", "PUBLIC", "COST", "low", "SCHEMA"),
            ("GOV", "PUBLIC", "COST", "it's", "DATABASE"),
        ]
        both = " union all ".join(asked.format(*one) for one in (('"PROD"', "DATABASE"), ('"PROD"."S"', "SCHEMA")))
        assert len(w.sql(both)) == 3


def inherited_rows_say_where_they_come_from(World):
    with World(show_grants_lists_inherited="yes") as w:  # D (IGU)
        w.shop()
        w.sql("grant inherited select on all tables in schema PROD.S to role READER")
        row = next(r for r in w.rows("show grants on table PROD.S.T") if r["privilege"] == "SELECT")
        assert (row["is_inherited"], row["inherited_from"], row["inherited_from_schema"]) == ("true", "SCHEMA", "S")


def a_function_is_named_with_its_arguments(World):
    with World() as w:  # D (SG), D (/sql-reference/sql/show-user-functions)
        w.shop()
        w.sql("create function PROD.S.F(a number, b varchar) returns varchar as 'b'")
        w.sql("grant usage on function PROD.S.F(number, varchar) to role READER")
        assert w.names("show grants on function PROD.S.F(number, varchar)") == [
            'PROD.S."F(A NUMBER, B VARCHAR):VARCHAR"'
        ] * 2
        assert w.names("show user functions in database PROD", "arguments") == ["F(NUMBER, VARCHAR) RETURN VARCHAR"]


def a_task_cannot_be_changed_while_its_root_runs(World):
    with World() as w:  # D (/user-guide/tasks-graphs)
        w.shop()
        w.sql(
            "create task PROD.S.ROOT schedule='1 minute' as select 1",
            "create task PROD.S.CHILD after PROD.S.ROOT as select 1",
            "alter task PROD.S.ROOT resume",
        )
        w.refuses(91421, "alter task PROD.S.CHILD resume")
        w.sql("alter task PROD.S.ROOT suspend", "alter task PROD.S.CHILD resume", "alter task PROD.S.ROOT resume")


def object_privileges_lists_what_is_switched(World):
    asked = "select grantee, granted_to from PROD.information_schema.object_privileges where privilege_type = 'SELECT'"
    for switches, rows in (  # U
        ({}, [("READER", "ROLE"), ("R", "DATABASE_ROLE")]),
        ({"object_privileges_database_roles": "as-roles"}, [("READER", "ROLE"), ("R", "ROLE")]),
        ({"object_privileges": "own-roles"}, []),
    ):
        with World(**switches) as w:
            w.shop()
            w.sql(
                "create database role PROD.R",
                "grant select on table PROD.S.T to role READER",
                "grant select on table PROD.S.T to database role PROD.R",
            )
            assert w.sql(asked) == rows


def a_statement_may_be_answered_and_not_done(World):
    with World() as w:  # E
        w.shop()
        w.control(op="fault", action="pretend", match="^grant select")
        w.sql("grant select on table PROD.S.T to role READER")
        assert [r["privilege"] for r in w.rows("show grants on table PROD.S.T")] == ["OWNERSHIP"]


def parameters_have_types(World):
    with World() as w:  # D (/sql-reference/sql/show-parameters)
        w.shop()
        types = {r["key"]: r["type"] for r in w.rows("show parameters in database PROD")}
        assert (types["DATA_RETENTION_TIME_IN_DAYS"], types["LOG_LEVEL"]) == ("NUMBER", "STRING")
