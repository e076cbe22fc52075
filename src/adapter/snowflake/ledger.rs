//! stub
use super::ident::SchemaPath;
use super::session::{Sessions, Tag};
use crate::domain::journal::Record;
use crate::ports::*;
pub struct Home {
    pub schema: SchemaPath,
}
pub struct SnowflakeLedger;
impl SnowflakeLedger {
    pub fn new(_: Sessions, _: Tag, _: Home, _: String) -> Self {
        Self
    }
}
pub async fn environments(_: &Sessions, _: &Tag, _: &Home) -> Answer<Vec<String>> {
    Ok(vec![])
}
#[async_trait::async_trait(?Send)]
impl Ledger for SnowflakeLedger {
    async fn load(&self) -> Answer<Vec<Record>> {
        todo!()
    }
    async fn append(&self, _: Draft) -> Answer<Record> {
        todo!()
    }
    async fn lease(&self) -> Answer<Option<Lease>> {
        todo!()
    }
    async fn acquire(&self, _: Claim) -> Answer<Lease> {
        todo!()
    }
    async fn renew(&self, _: Token, _: std::time::Duration) -> Answer<()> {
        todo!()
    }
    async fn release(&self, _: Token) -> Answer<()> {
        todo!()
    }
    fn place(&self) -> String {
        todo!()
    }
}
