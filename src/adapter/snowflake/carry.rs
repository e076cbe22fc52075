//! stub
use super::grants::Container;
use super::session::{Sessions, Tag};
use crate::ports::Answer;
#[derive(Clone, Debug, Default)]
pub struct Policy {}
pub async fn settings(_: &Sessions, _: &Tag, _: &Container, _: &Container) -> Answer<Vec<String>> {
    Ok(Vec::new())
}
pub async fn tasks(_: &Sessions, _: &Tag, _: &Container, _: &Container) -> Answer<Vec<String>> {
    Ok(Vec::new())
}
pub async fn grants(
    _: &Sessions,
    _: &Tag,
    _: &Container,
    _: &Container,
    _: &Policy,
) -> Answer<Vec<String>> {
    Ok(Vec::new())
}
pub async fn objects(
    _: &Sessions,
    _: &Tag,
    _: &Container,
    _: &Container,
    _: &Policy,
) -> Answer<Vec<String>> {
    Ok(Vec::new())
}
