//! Copies on a real server.

use tokio_postgres::Client;

use super::*;
use crate::adapter::postgres::testing::Server;

const TORTURE: &str = include_str!("../torture.sql");

struct World {
    server: &'static Server,
    database: String,
    client: Client,
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

fn both() -> Vec<(String, String)> {
    pairs(&[("shop", "shop__build_r2"), ("Shop Two", "Shop Two__build_r2")])
}

impl World {
    async fn new(sql: &str) -> Option<Self> {
        let server = Server::shared()?;
        let database = server.database().await;
        let client = server.connect(&database).await;
        client.batch_execute(&server.spell(sql)).await.expect("the world is made");
        Some(Self { server, database, client })
    }

    async fn copy_as(
        &self,
        user: &str,
        pairs: &[(String, String)],
        without_rows: &[(&str, &str)],
    ) -> Answer<Copied> {
        let connect = || -> NewClient<'_> {
            Box::pin(async { Ok(self.server.connect_as(&self.database, user).await) })
        };
        let place = |schema: &str, name: &str| (schema.to_owned(), name.to_owned());
        let without_rows: Bare = without_rows
            .iter()
            .map(|(schema, name)| {
                let may = ["reader", "second"].map(|reader| place(schema, reader));
                (place(schema, name), may.into())
            })
            .collect();
        let copying = Copying {
            connect: &connect,
            pairs,
            without_rows: &without_rows,
            marker: "switchback: being copied",
            jobs: 2,
        };
        copy(&copying, &|_, _| {}).await
    }

    async fn copy(&self, pairs: &[(String, String)]) -> Answer<Vec<String>> {
        Ok(self.copy_as("postgres", pairs, &[]).await?.notes)
    }

    /// The dump of a schema, `pg_dump`'s own settings and the schema's comment aside.
    fn dump(&self, schema: &str) -> String {
        self.dumped(schema, &[])
    }

    fn dumped(&self, schema: &str, options: &[&str]) -> String {
        let pattern = format!("\"{schema}\"");
        let options = [&["-n", &pattern], options].concat();
        self.server
            .dump(&self.database, &options)
            .lines()
            .filter(|line| !line.starts_with("--") && !line.starts_with("COMMENT ON SCHEMA"))
            .filter(|line| !line.is_empty() && !line.starts_with('\\'))
            .collect::<Vec<_>>()
            .join("\n")
    }

    async fn text(&self, sql: &str) -> String {
        self.client.query_one(sql, &[]).await.expect(sql).get(0)
    }
}

/// What differs, line by line.
fn differences(one: &str, other: &str) -> Vec<String> {
    let (one, other): (Vec<_>, Vec<_>) = (one.lines().collect(), other.lines().collect());
    let mut found = Vec::new();
    for line in &one {
        if !other.contains(line) {
            found.push(format!("- {line}"));
        }
    }
    for line in &other {
        if !one.contains(line) {
            found.push(format!("+ {line}"));
        }
    }
    if found.is_empty()
        && let Some(at) = one.iter().zip(&other).position(|(one, other)| one != other)
    {
        found.push(format!(
            "in another order: {:#?} {:#?}",
            &one[at - 3..at + 3],
            &other[at..at + 3]
        ));
    }
    found
}

#[tokio::test]
async fn everything_in_the_schemas_is_copied_and_nothing_refers_back() {
    let Some(world) = World::new(TORTURE).await else { return };
    let pairs = both();
    let before = world.dump("shop") + &world.dump("Shop Two");
    let notes = world.copy(&pairs).await.expect("a copy");
    assert_eq!(notes, Vec::<String>::new());
    let after = world.dump("shop") + &world.dump("Shop Two");
    assert_eq!(differences(&before, &after), Vec::<String>::new(), "live was changed");
    for (live, build) in &pairs {
        let copied = world.dump(build).replace("__build_r2", "");
        assert_eq!(differences(&world.dump(live), &copied), Vec::<String>::new());
    }
    let (lives, builds): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
    let crossing = crossing(&world.client, &builds, &lives).await.expect("a search");
    assert_eq!(crossing, Vec::<String>::new());
}

#[tokio::test]
async fn tables_that_are_rebuilt_come_without_rows_unless_something_reads_them() {
    let Some(world) = World::new(
        "CREATE SCHEMA a;
         CREATE TABLE a.t (id serial PRIMARY KEY, x text UNIQUE); INSERT INTO a.t (x) VALUES ('a');
         COMMENT ON TABLE a.t IS 'ours';
         CREATE VIEW a.reader AS SELECT * FROM a.t;
         CREATE TABLE a.kept AS SELECT 1 AS x; CREATE VIEW a.stranger AS SELECT * FROM a.kept;
         CREATE TABLE a.deep AS SELECT 1 AS x; CREATE VIEW a.second AS SELECT * FROM a.deep;
         CREATE VIEW a.stranger_above AS SELECT * FROM a.second;
         CREATE TABLE a.key (x int PRIMARY KEY); INSERT INTO a.key VALUES (1);
         CREATE TABLE a.refers (x int REFERENCES a.key); INSERT INTO a.refers VALUES (1);
         CREATE TABLE a.called AS SELECT 1 AS x;
         CREATE FUNCTION a.f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM a.Called';
         CREATE TABLE a.typed AS SELECT 1 AS x;
         CREATE FUNCTION a.g(a.typed[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
         CREATE TABLE a.parent AS SELECT 1 AS x; CREATE TABLE a.child () INHERITS (a.parent);",
    )
    .await
    else {
        return;
    };
    let pairs = pairs(&[("a", "b")]);
    let rebuilt =
        ["t", "kept", "deep", "key", "refers", "called", "typed", "parent"].map(|one| ("a", one));
    let copied = world.copy_as("postgres", &pairs, &rebuilt).await.expect("a copy");
    assert_eq!(copied.notes, Vec::<String>::new());
    let counted: Vec<String> =
        copied.rows.iter().map(|((_, name), rows)| format!("{name} {rows}")).collect();
    let wanted = ["called 1", "child 0", "deep 1", "kept 1", "key 1", "parent 1", "typed 1"];
    assert_eq!(counted, wanted);
    for (table, rows) in [
        ("t", "0"),
        ("kept", "1"),
        ("deep", "1"),
        ("key", "1"),
        ("refers", "0"),
        ("called", "1"),
        ("typed", "1"),
        ("parent", "1"),
    ] {
        let sql = format!("SELECT count(*)::text FROM b.{table}");
        assert_eq!(world.text(&sql).await, rows, "{table}");
    }
    let marked = "SELECT string_agg(objoid::regclass::text, ' ' ORDER BY objoid::regclass::text) FROM pg_description \
                  WHERE description LIKE 'switchback: without%'";
    assert_eq!(world.text(marked).await, "b.refers b.t");
    assert_eq!(world.text("SELECT nextval('b.t_id_seq')::text").await, "2");
    let indexes =
        "SELECT count(*)::text FROM pg_indexes WHERE tablename = 't' AND schemaname = 'b'";
    assert_eq!(world.text(indexes).await, "2");
}

#[tokio::test]
async fn a_live_schema_that_does_not_exist_gets_an_empty_build_with_the_marker() {
    let sql =
        "CREATE SCHEMA a; CREATE TABLE a.t (); INSERT INTO a.t SELECT FROM generate_series(1, 3)";
    let Some(world) = World::new(sql).await else { return };
    let pairs = pairs(&[("a", "b"), ("missing", "missing__build")]);
    assert_eq!(world.copy(&pairs).await.expect("a copy"), Vec::<String>::new());
    let marker = "SELECT obj_description('missing__build'::regnamespace, 'pg_namespace')";
    assert_eq!(world.text(marker).await, "switchback: being copied");
    let rows = "SELECT count(*)::text FROM b.t";
    assert_eq!(world.text(rows).await, "3", "rows without columns are rows too");
}

#[tokio::test]
async fn what_is_not_carried_is_named() {
    let Some(world) = World::new(
        "CREATE SCHEMA a;
         CREATE FUNCTION a.same(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
         CREATE OPERATOR a.=== (FUNCTION = a.same, LEFTARG = text, RIGHTARG = text);
         CREATE COLLATION a.c FROM \"C\";
         CREATE TABLE a.k (x int PRIMARY KEY); CREATE TABLE a.l (x int REFERENCES a.k);
         ALTER TABLE a.l DISABLE TRIGGER ALL;
         CREATE FUNCTION a.f() RETURNS text LANGUAGE plpgsql AS
           $$BEGIN EXECUTE format('TABLE %I.t', 'a'); RETURN NULL; END$$;",
    )
    .await
    else {
        return;
    };
    let notes = world.copy(&pairs(&[("a", "b")])).await.expect("a copy");
    assert_eq!(notes.len(), 4, "{notes:?}");
    assert_eq!(notes[0], "not copied: collation a.c");
    assert_eq!(notes[1], "not copied: operator a.===(text,text)");
    assert!(notes[2].contains("that foreign keys are not enforced"), "{notes:?}");
    assert!(notes[3].starts_with("the text of FUNCTION b.f has the string 'a'"), "{notes:?}");
}

#[tokio::test]
async fn a_role_with_few_rights_copies_what_is_its_own_and_names_the_rest() {
    let Some(world) = World::new(
        "DO $$ BEGIN
           PERFORM pg_advisory_xact_lock(1);
           IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'clone_dbt') THEN
             CREATE ROLE clone_dbt LOGIN; CREATE ROLE clone_group; CREATE ROLE clone_stranger;
             GRANT clone_group TO clone_dbt;
           END IF;
           EXECUTE format('GRANT CREATE ON DATABASE %I TO clone_dbt', current_database());
         END $$;
         CREATE SCHEMA a AUTHORIZATION clone_dbt;
         GRANT ALL ON SCHEMA a TO clone_group;
         SET ROLE clone_dbt;
         ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO clone_stranger;
         CREATE TABLE a.mine AS SELECT 1 AS x;
         CREATE TABLE a.private AS SELECT 1 AS x; REVOKE ALL ON a.private FROM clone_stranger;
         CREATE TABLE a.ours AS SELECT 1 AS x;
         CREATE TABLE a.theirs AS SELECT 1 AS x;
         CREATE VIEW a.v AS SELECT m.x FROM a.mine m JOIN a.ours o USING (x);
         ALTER TABLE a.ours OWNER TO clone_group;
         RESET ROLE;
         ALTER TABLE a.theirs OWNER TO clone_stranger;
         GRANT SELECT ON a.theirs TO clone_dbt;",
    )
    .await
    else {
        return;
    };
    let copied = world.copy_as("clone_dbt", &pairs(&[("a", "b")]), &[]).await.expect("a copy");
    let notes = copied.notes;
    assert!(notes.iter().any(|note| note.contains("no member of clone_stranger")), "{notes:?}");
    let owner =
        "SELECT tableowner::text FROM pg_tables WHERE schemaname = 'b' AND tablename = 'ours'";
    assert_eq!(world.text(owner).await, "clone_group");
    for (table, may) in [("mine", "true"), ("private", "false")] {
        let sql =
            format!("SELECT has_table_privilege('clone_stranger', 'b.{table}', 'SELECT')::text");
        assert_eq!(world.text(&sql).await, may, "{table}");
    }
    let strangers: Vec<_> = notes.iter().filter(|note| !note.contains("theirs")).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}

#[tokio::test]
async fn rows_written_during_the_copy_are_in_all_tables_or_in_none() {
    let Some(world) = World::new(
        "CREATE SCHEMA a; CREATE TABLE a.one (n bigint); CREATE TABLE a.two (n bigint);
         CREATE TABLE a.big AS SELECT g, repeat('x', 200) AS filler FROM generate_series(1, 100000) g;",
    )
    .await
    else {
        return;
    };
    let writer = world.server.connect(&world.database).await;
    let pairs = pairs(&[("a", "b")]);
    let writing = async {
        for n in 0i64.. {
            let text = format!(
                "BEGIN; INSERT INTO a.one VALUES ({n}); INSERT INTO a.two VALUES ({n}); COMMIT"
            );
            writer.batch_execute(&text).await.expect("a write");
        }
    };
    tokio::select! {
        copied = world.copy(&pairs) => assert_eq!(copied.expect("a copy"), Vec::<String>::new()),
        () = writing => {}
    }
    let same = "SELECT ((SELECT count(*) FROM b.one) = (SELECT count(*) FROM b.two) \
                AND (SELECT count(*) FROM b.one) < (SELECT count(*) FROM a.one))::text";
    assert_eq!(world.text(same).await, "true");
}

#[tokio::test]
async fn large_tables_that_are_made_with_their_rows_are_the_same_tables() {
    let Some(world) = World::new(
        "CREATE SCHEMA a; CREATE SCHEMA elsewhere; CREATE DOMAIN elsewhere.d AS text CHECK (VALUE > '');
         CREATE TABLE a.plain (gone int, id bigint NOT NULL DEFAULT 7, code varchar(5), fixed char(3),
           amount numeric(12, 2), name text COLLATE \"C\", tags text[] NOT NULL, at timestamptz(3),
           \"Odd \"\"name\" elsewhere.d, filler text);
         ALTER TABLE a.plain DROP COLUMN gone;
         INSERT INTO a.plain SELECT g, g % 10, 'a', g / 3.0, 'n' || g, ARRAY['x', NULL], now(),
           nullif('d' || g % 5, 'd0'), repeat(md5(g::text), CASE g % 9999 WHEN 0 THEN 999 ELSE 5 END)
           FROM generate_series(1, 60000) g;
         ALTER TABLE a.plain ADD PRIMARY KEY (id); CREATE INDEX ON a.plain (name, at);
         COMMENT ON TABLE a.plain IS 'ours'; COMMENT ON COLUMN a.plain.at IS 'when';
         CREATE VIEW a.reader AS SELECT id, tags FROM a.plain;
         CREATE UNLOGGED TABLE a.fast AS SELECT * FROM a.plain;
         CREATE TABLE a.stored (LIKE a.plain); ALTER TABLE a.stored ALTER filler SET STORAGE EXTERNAL;
         INSERT INTO a.stored SELECT * FROM a.plain;
         CREATE TABLE a.typed AS SELECT * FROM a.plain;
         CREATE FUNCTION a.f(a.typed) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1.name';
         CREATE INDEX ON a.typed (a.f(typed));
         CREATE TABLE a.counted (id bigint GENERATED ALWAYS AS IDENTITY, x text, y text
           GENERATED ALWAYS AS (x || 'y') STORED);
         INSERT INTO a.counted (x) SELECT filler FROM a.plain;
         CREATE TABLE a.checked AS SELECT * FROM a.plain; ALTER TABLE a.checked ADD CHECK (id > 0);
         ANALYZE",
    )
    .await
    else {
        return;
    };
    let pairs = pairs(&[("a", "a__build_r2")]);
    assert_eq!(world.copy(&pairs).await.expect("a copy"), Vec::<String>::new());
    let copied = world.dumped("a__build_r2", &["-s"]).replace("__build_r2", "");
    assert_eq!(differences(&world.dumped("a", &["-s"]), &copied), Vec::<String>::new());
    let version = world.text("SELECT current_setting('server_version_num')").await;
    let version: u32 = version.parse().expect("a number");
    // Before 14 nothing comes in pieces; what NOT NULL is called can be chosen since 18.
    let (pieces, plain) = (version >= 140_000, version < 180_000);
    for (table, in_one) in [
        ("plain", plain),
        ("fast", true),
        ("stored", !pieces),
        ("typed", !pieces),
        ("counted", !pieces),
        ("checked", !pieces),
    ] {
        let of = |schema: &str| {
            format!("SELECT md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {schema}.{table} t")
        };
        assert_eq!(world.text(&of("a")).await, world.text(&of("a__build_r2")).await, "{table}");
        let by_one =
            format!("SELECT (count(DISTINCT xmin::text) = 1)::text FROM a__build_r2.{table}");
        assert_eq!(world.text(&by_one).await, in_one.to_string(), "{table}");
        let known = format!(
            "SELECT (reltuples > 0)::text FROM pg_class WHERE oid = 'a__build_r2.{table}'::regclass"
        );
        assert_eq!(world.text(&known).await, "true", "{table} was not analyzed");
    }
}

#[tokio::test]
async fn a_table_that_inherits_across_the_border_is_refused() {
    let Some(world) = World::new(
        "CREATE SCHEMA a; CREATE SCHEMA o; CREATE TABLE o.parent (x int);
         CREATE TABLE a.child () INHERITS (o.parent);",
    )
    .await
    else {
        return;
    };
    let error = world.copy(&pairs(&[("a", "b")])).await.expect_err("a refusal");
    assert!(error.to_string().contains("a.child is a partition or a child of o.parent"), "{error}");
    let schemas = "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'b'";
    assert_eq!(world.text(schemas).await, "0");
}

#[tokio::test]
async fn references_from_the_build_into_live_are_found_however_they_are_made() {
    let Some(world) = World::new(
        "CREATE SCHEMA live; CREATE SCHEMA build;
         CREATE TYPE live.mood AS ENUM ('a'); CREATE TABLE live.t (id integer PRIMARY KEY);
         CREATE SEQUENCE live.ids;
         CREATE FUNCTION live.f() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
         CREATE TABLE build.typed (mood live.mood);
         CREATE TABLE build.keyed (id integer REFERENCES live.t);
         CREATE TABLE build.given (id integer DEFAULT live.f());
         CREATE TABLE build.counted (id integer DEFAULT nextval('live.ids'::text));
         CREATE TABLE build.checked (id integer CHECK (id > live.f()));
         CREATE TABLE build.indexed (id integer); CREATE INDEX i ON build.indexed ((id + live.f()));
         CREATE VIEW build.v AS SELECT * FROM live.t;
         CREATE FUNCTION build.body() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM live.t';
         CREATE FUNCTION build.path() RETURNS bigint LANGUAGE sql SET search_path TO live AS 'SELECT 1::bigint';
         CREATE TABLE build.kid () INHERITS (live.t);
         CREATE VIEW build.fine AS SELECT 'see live.t'::text AS help, 1 AS one;",
    )
    .await
    else {
        return;
    };
    let (builds, lives) = (["build".to_owned()], ["live".to_owned()]);
    let found = crossing(&world.client, &builds, &lives).await.expect("a search");
    for what in [
        "typed",
        "keyed",
        "given",
        "counted",
        "checked",
        "index build.i",
        "view build.v",
        "build.body",
        "build.path",
        "build.kid",
    ] {
        assert!(found.iter().any(|one| one.contains(what)), "{what}: {found:#?}");
    }
    assert!(!found.iter().any(|one| one.contains("build.fine")), "{found:#?}");
}
