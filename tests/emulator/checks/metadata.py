"""SHOW, DESCRIBE, INFORMATION_SCHEMA, GET_DDL, comments."""


def show_without_limit_over_the_cap_is_an_error_but_objects_drops_the_rest_silently(World):
    with World(show_limit=3) as w:  # D (5)
        w.shop()
        w.sql("create table PROD.S.U (id int)", "create table PROD.S.V (id int)", "create table PROD.S.W (id int)")
        w.refuses(90153, "show tables in PROD.S")
        assert w.names("show objects in PROD.S") == ["ABSOLUTE", "HALF", "RELATIVE"]
        first = w.names("show tables in PROD.S limit 3")
        assert first == ["T", "U", "V"] and w.names(f"show tables in PROD.S limit 3 from '{first[-1]}'") == ["W"]


def like_ignores_case_and_starts_with_does_not(World):
    with World() as w:
        w.shop()
        assert w.names("show views like 'h%' in schema PROD.S") == ["HALF"]
        assert w.names("show views in PROD.S starts with 'h'") == [] and w.names(
            "show views in PROD.S starts with 'HA' limit 1"
        ) == ["HALF"]


def show_schemas_has_the_documented_columns_and_options(World):
    with World() as w:  # D (5)
        w.sql(
            "create database PROD",
            "create transient schema PROD.S with managed access data_retention_time_in_days=0 comment='it''s'",
        )
        row = w.rows("show schemas like 'S' in database PROD")[0]
        assert (
            list(row)
            == "created_on name is_default is_current database_name owner comment options retention_time owner_role_type".split()
        )
        assert (row["options"], row["retention_time"], row["comment"], row["is_current"]) == (
            "TRANSIENT, MANAGED ACCESS",
            "0",
            "it's",
            "Y",
        )
        w.sql(
            "alter schema PROD.S disable managed access",
            "alter schema PROD.S set comment = 'x'",
            "alter schema PROD.S unset comment",
        )
        assert w.rows("show schemas like 'S' in database PROD")[0]["options"] == "TRANSIENT"


def show_tables_tells_kinds_apart(World):
    with World() as w:  # D (5)
        w.shop()
        w.sql("use schema PROD.S", "create transient table TR (id int)", "create temporary table TE (id int)")
        assert {r["name"]: (r["kind"], r["rows"]) for r in w.rows("show tables in PROD.S")} == {
            "T": ("TABLE", 2),
            "TR": ("TRANSIENT", 0),
            "TE": ("TEMPORARY", 0),
        }


def a_missing_container_answers_002043_to_show(World):
    with World() as w:
        w.refuses(2043, "show objects in NOPE.S")
        w.refuses(2043, "use database NOPE")


def last_altered_moves_with_rows_and_last_ddl_with_definitions_only(World):
    with World() as w:  # D (IT)
        w.shop()
        ask = "select last_altered, last_ddl, row_count from PROD.information_schema.tables where table_name = 'T'"
        a = w.sql(ask)[0]
        w.sql("update PROD.S.T set name = 'x' where id = 99")  # a no-op moves it too
        b = w.sql(ask)[0]
        w.sql("alter table PROD.S.T add column more int")
        c = w.sql(ask)[0]
        assert a[0] < b[0] < c[0] and a[1] == b[1] < c[1] and c[2] == 2


def information_schema_lists_views_columns_and_schemata(World):
    with World() as w:
        w.shop()
        assert w.sql("select view_definition from PROD.information_schema.views where table_name = 'HALF'") == [
            ("create view PROD.S.HALF as select id from S.T",)
        ]
        columns = w.sql(
            "select column_name, data_type, ordinal_position from PROD.information_schema.columns where table_name = 'T' order by 3"
        )
        assert columns == [("ID", "NUMBER", 1), ("NAME", "TEXT", 2)]
        assert ("S", "NO", "NO") in w.sql(
            "select schema_name, is_transient, is_managed_access from PROD.information_schema.schemata"
        )
        assert w.sql("select count(*) from PROD.information_schema.tables where table_schema = 'S'") == [(4,)]


def get_ddl_qualifies_the_created_name_only(World):
    with World() as w:  # D (GD)
        w.shop()
        text = w.sql("select get_ddl('VIEW', 'PROD.S.HALF', true)")[0][0]
        assert text.startswith("create or replace view PROD.S.HALF(") and text.endswith("as select id from S.T;"), text
        w.sql(text)
        w.sql("create or replace secure view PROD.S.SEC copy grants comment='hush' as select 1 as one")
        text = w.sql("select get_ddl('VIEW', 'PROD.S.SEC', true)")[0][0]
        assert "secure" in text and "COMMENT='hush'" in text and "copy grants" not in text.lower()


def the_text_of_a_secure_view_is_for_its_owner(World):
    with World() as w:  # D (5)
        w.shop()
        w.sql("create secure view PROD.S.SEC as select 1 as one")
        other = w.connect(role="READER")
        assert (
            w.rows("show views like 'SEC' in PROD.S")[0]["text"]
            and not w.rows("show views like 'SEC' in PROD.S", on=other)[0]["text"]
        )


def comments_stand_on_containers_objects_and_columns(World):
    with World() as w:
        w.shop()
        w.sql(
            "comment on database PROD is 'stamp r42'",
            "comment on table PROD.S.T is $$it's$$",
            "comment on column PROD.S.T.ID is 'key'",
            "comment if exists on table PROD.S.NOPE is 'x'",
        )
        assert w.rows("show databases like 'PROD'")[0]["comment"] == "stamp r42"
        assert w.rows("show tables like 'T' in PROD.S")[0]["comment"] == "it's"
        assert w.rows("describe table PROD.S.T")[0]["comment"] == "key"


def shares_and_replication_groups_can_be_seen(World):
    with World() as w:
        w.shop()
        w.sql("create failover group G object_types = databases allowed_databases = PROD allowed_accounts = o.a")
        assert w.rows("show failover groups")[0]["allowed_databases"] == "PROD"


def result_scan_reads_the_last_answer(World):
    with World() as w:
        w.shop()
        w.sql("show tables in PROD.S")
        assert w.sql('select "name", "rows" from table(result_scan(last_query_id()))') == [("T", 2)]


def show_needs_no_warehouse_and_select_from_a_table_does(World):
    with World() as w:  # D (5)
        w.shop()
        none = w.connect(warehouse="NOPE")
        assert w.names("show tables in PROD.S", "name") == ["T"]
        assert len(w.sql("show databases", on=none)) == 1
        w.refuses(606, "select * from PROD.S.T", on=none)


def parameters_of_a_container_say_where_they_were_set(World):
    with World() as w:
        w.sql(
            "create database PROD data_retention_time_in_days=5",
            "create schema PROD.S max_data_extension_time_in_days=20",
        )
        rows = {r["key"]: (r["value"], r["level"]) for r in w.rows("show parameters in schema PROD.S")}
        assert rows["DATA_RETENTION_TIME_IN_DAYS"] == ("5", "DATABASE") and rows["MAX_DATA_EXTENSION_TIME_IN_DAYS"] == (
            "20",
            "SCHEMA",
        )
        assert rows["LOG_LEVEL"] == ("OFF", "")


def tags_are_set_read_and_unset(World):
    with World() as w:
        w.sql(
            "create database PROD",
            "create tag PROD.PUBLIC.STAMP",
            "alter database PROD set tag PROD.PUBLIC.STAMP = 'r42'",
        )
        assert w.sql("select system$get_tag('PROD.PUBLIC.STAMP', 'PROD', 'database')") == [("r42",)]
        w.sql("alter database PROD unset tag PROD.PUBLIC.STAMP")
        assert w.sql("select system$get_tag('PROD.PUBLIC.STAMP', 'PROD', 'database')") == [(None,)]


def like_takes_an_escaped_underscore(World):
    with World() as w:
        w.sql("create database P__R1", "create database PXXR1")
        assert (
            w.names(r"show databases like 'P\\_\\_R1'") == ["P__R1"]
            and len(w.names("show databases like 'P__R1'")) == 2
        )


def a_views_definition_has_the_comments_of_its_columns(World):
    with World() as w:  # D (GD)
        w.shop()
        w.sql("create view PROD.S.V (ID comment 'the key') comment = 'one' as select id from T")
        ddl = w.sql("select get_ddl('view', 'PROD.S.V', true)")[0][0]
        assert "ID COMMENT 'the key'" in ddl and "COMMENT='one' as select id from T" in ddl, ddl
        w.sql(ddl)
        assert w.sql("select get_ddl('view', 'PROD.S.V', true)")[0][0] == ddl
