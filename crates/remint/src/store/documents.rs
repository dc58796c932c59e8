//! Parsed clients and apis, kept in memory. Never answers from memory alone: the row is read each time, and what was
//! parsed counts only where its text is the very same.

use std::sync::Arc;

use moka::sync::Cache;
use remint_core::client::{Api, Client};
use remint_core::rev::Rev;

use super::record::BadColumn;
use super::rows::Document;

/// More clients or apis than this are parsed anew now and then.
const MOST: u64 = 4096;

/// What was parsed of one table.
pub(super) struct Parsed<T>(Cache<Box<str>, Arc<Kept<T>>>);

struct Kept<T> {
    rev: Rev,
    text: Box<str>,
    document: Arc<T>,
}

/// What was parsed.
pub(super) struct Documents {
    pub(super) clients: Parsed<Client>,
    pub(super) apis: Parsed<Api>,
}

impl Documents {
    pub(super) fn new() -> Self {
        Self { clients: Parsed(Cache::new(MOST)), apis: Parsed(Cache::new(MOST)) }
    }
}

impl<T: Document> Parsed<T> {
    /// The document of the row that was just read.
    pub(super) fn parsed(&self, id: &str, rev: Rev, text: &str) -> Result<Arc<T>, BadColumn> {
        if let Some(kept) = self.0.get(id)
            && kept.rev == rev
            && *kept.text == *text
        {
            return Ok(Arc::clone(&kept.document));
        }
        let document = Arc::new(T::read(id, rev, text).ok_or(BadColumn("document"))?);
        self.0.insert(id.into(), Arc::new(Kept { rev, text: text.into(), document: Arc::clone(&document) }));
        Ok(document)
    }
}
