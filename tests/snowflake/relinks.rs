//! Views that cannot be relinked faithfully are named before anything is swapped.

use serde_json::json;

use super::shop::{Shop, node, nodes};

const BOTH: [&str; 2] = ["isolation: database\n", "isolation: schema\n"];

/// What live has that a clone must be relinked for, and what the refusal calls it.
const ODD: [(&str, &str); 3] = [
    (
        "CREATE VIEW SHOP.CORE_MARTS.ODD AS SELECT * FROM IDENTIFIER('SHOP.CORE_MARTS.ORDERS')",
        "a text names the container",
    ),
    (
        "CREATE VIEW SHOP.CORE_MARTS.ODD AS SELECT 'SHOP.CORE_MARTS.ORDERS' AS SOURCE, o.* FROM \
         SHOP.CORE_MARTS.ORDERS o",
        "a text names the container",
    ),
    (
        "CREATE SECURE VIEW SHOP.CORE_MARTS.ODD AS SELECT * FROM SHOP.CORE_MARTS.ORDERS",
        "this role cannot see its text",
    ),
];

#[test]
fn a_view_that_cannot_be_relinked_stops_the_deploy_and_is_named_and_may_be_allowed() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("odd views", isolation) else { return };
        shop.dbt_alone();
        shop.target("role", Some("DEPLOY"));
        give_everything_to_deploy(&shop);
        shop.account.save();
        for (statement, why) in ODD {
            shop.account.restore();
            shop.configure(isolation);
            shop.account.sql(statement);
            let of_another = statement.contains("SECURE");
            if !of_another {
                shop.account.sql("GRANT OWNERSHIP ON VIEW SHOP.CORE_MARTS.ODD TO ROLE DEPLOY");
            }
            shop.version(2);
            let told = shop.run(&["deploy"]).expect(3).err;
            assert!(told.contains("CORE_MARTS") && told.contains("ODD"), "{told}");
            assert!(told.contains(why), "{isolation}{statement}: {told}");
            assert!(told.contains("allow: {relations:"), "{told}");
            assert_eq!(shop.seen(), 1);
            assert_eq!(shop.cutovers(), 0);
            shop.configure(&format!("{isolation}allow: {{relations: [core_marts.odd]}}\n"));
            let run = shop.run(&["deploy"]).expect(0);
            assert!(
                run.out.contains("as allowed") || run.err.contains("as allowed"),
                "{}",
                run.err
            );
            assert_eq!(shop.seen(), 2);
        }
    }
}

/// As production is where one role owns all of it.
pub fn give_everything_to_deploy(shop: &Shop) {
    for statement in [
        "GRANT OWNERSHIP ON DATABASE SHOP TO ROLE DEPLOY",
        "GRANT CREATE DATABASE ON ACCOUNT TO ROLE DEPLOY",
        "GRANT USAGE ON WAREHOUSE COMPUTE_WH TO ROLE DEPLOY",
    ] {
        shop.account.sql(statement);
    }
    for schema in shop.schemas().into_iter().chain(["PUBLIC".to_owned()]) {
        for statement in [
            format!("GRANT OWNERSHIP ON SCHEMA SHOP.{schema} TO ROLE DEPLOY"),
            format!("GRANT OWNERSHIP ON ALL TABLES IN SCHEMA SHOP.{schema} TO ROLE DEPLOY"),
            format!("GRANT OWNERSHIP ON ALL VIEWS IN SCHEMA SHOP.{schema} TO ROLE DEPLOY"),
        ] {
            shop.account.sql(&statement);
        }
    }
}

#[test]
fn names_in_texts_comments_and_aliases_do_not_stop_a_deploy() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("harmless mentions", isolation) else { return };
        let mut all = nodes(1);
        all.push(node(
            "model",
            "plain",
            "marts",
            "view",
            "with shop as (select 1 as core_marts) -- SHOP.CORE_MARTS.ORDERS\nselect 'the shop and its \
             core_marts' as t, shop.core_marts as n, o.version /* SHOP.CORE_MARTS */ from shop cross \
             join {{ ref('orders') }} o",
        ));
        shop.project(&all, &json!({}));
        shop.dbt_alone();
        for _ in 0..2 {
            shop.run(&["deploy"]).expect(0);
            let rows = shop.account.sql("SELECT DISTINCT T, N, VERSION FROM SHOP.CORE_MARTS.PLAIN");
            let expected = ["the shop and its core_marts", "1", "1"];
            assert_eq!(rows, [expected.map(|cell| Some(cell.to_owned())).to_vec()]);
            all[0]["sql"] = json!(all[0]["sql"].as_str().unwrap().replace("'bob'", "'eve'"));
            shop.project(&all, &json!({}));
        }
    }
}

#[test]
fn a_model_that_names_production_itself_is_warned_about() {
    let Some(shop) = Shop::new("names production", "isolation: database\n") else { return };
    shop.dbt_alone();
    let mut all = nodes(2);
    all.push(node("model", "hard", "marts", "view", "select * from SHOP.CORE_MARTS.ORDERS"));
    shop.project(&all, &json!({}));
    let run = shop.run(&["deploy"]).expect(0);
    assert!(run.err.contains("model.shop.hard names production itself"), "{}", run.err);
    // The relink drops the qualifier, so that it reads the release that it is a part of.
    let rows = shop.account.sql("SELECT MAX(VERSION) FROM SHOP.CORE_MARTS.HARD");
    assert_eq!(rows[0][0].as_deref(), Some("2"));
}

#[test]
fn a_text_that_names_the_build_stops_the_deploy_before_the_swap_and_may_be_allowed() {
    for isolation in BOTH {
        let Some(shop) = Shop::new("names the build", isolation) else { return };
        shop.dbt_alone();
        let mut all = nodes(2);
        let made_in = "select '{{ target.database }}.{{ target.schema }}.' as made_in, o.version from \
                       {{ ref('orders') }} o";
        all.push(node("model", "made", "", "view", made_in));
        shop.project(&all, &json!({}));
        let told = shop.run(&["deploy"]).expect(3).err;
        assert!(told.contains("CORE.MADE: line "), "{isolation}{told}");
        assert!(told.contains("a text names the container"), "{told}");
        assert_eq!((shop.seen(), shop.cutovers()), (1, 0));
        shop.configure(&format!("{isolation}allow: {{relations: [core.made]}}\n"));
        shop.run(&["deploy"]).expect(0);
        assert_eq!(shop.seen(), 2);
    }
}
