//! Pages of a list. A cursor is opaque to whoever gets it: the place behind the last row, authenticated with a key of the
//! server and bound to the list and its filters, so that no text of a caller's reaches a statement as a place. Never
//! counts how many there are.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::admin::AdminError;
use crate::app::App;

/// The largest page.
pub const MAX: usize = 1000;
/// The usual page.
const USUAL: usize = 100;
/// The length of an authentication tag, in bytes.
const TAG: usize = 16;
/// Longer than any cursor of ours.
const MAX_CURSOR_BYTES: usize = 2048;

/// What is asked of a list without filters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paged {
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Paged {
    /// The page that is meant, of the list `list`.
    ///
    /// # Errors
    /// Those of [`Page::wanted`].
    pub fn of(&self, app: &App, list: &str) -> Result<Page, AdminError> {
        Page::wanted(app, list, &[], self.limit, self.cursor.as_deref())
    }
}

/// Which page is wanted.
#[derive(Debug)]
pub struct Page {
    /// How many rows.
    pub limit: usize,
    query: Vec<u8>,
    place: Option<Vec<u8>>,
}

impl Page {
    /// The page that a caller asked for, of the list `list` with these filters.
    ///
    /// # Errors
    /// Where `limit` is out of range, and where the cursor was not made here, for this list and these filters.
    pub fn wanted(
        app: &App,
        list: &str,
        filters: &[&str],
        limit: Option<usize>,
        cursor: Option<&str>,
    ) -> Result<Self, AdminError> {
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MAX).contains(&limit) {
            return Err(AdminError::invalid("limit", format!("must be 1 to {MAX}")));
        }
        let mut query = Vec::new();
        for part in std::iter::once(&list).chain(filters) {
            query.extend_from_slice(&(part.len() as u64).to_be_bytes());
            query.extend_from_slice(part.as_bytes());
        }
        let foreign = || AdminError::invalid("cursor", "is none that this list gave for these filters");
        let place = cursor.map(|text| opened(app, &query, text).ok_or_else(foreign)).transpose()?;
        Ok(Self { limit, query, place })
    }

    /// The place behind which the page begins, as [`Page::next`] was given it.
    pub fn place(&self) -> Option<&[u8]> {
        self.place.as_deref()
    }

    /// The same, where it is a text.
    pub fn text_place(&self) -> Option<String> {
        self.place().map(|place| String::from_utf8_lossy(place).into_owned())
    }

    /// One row more than the page has: whether there is a next one.
    pub const fn one_more(&self) -> usize {
        self.limit + 1
    }

    /// Cuts what was read with [`Page::one_more`] to the page, and makes the cursor of the next one, if there is one.
    pub fn next<T>(&self, app: &App, rows: &mut Vec<T>, place: impl Fn(&T) -> Vec<u8>) -> Option<String> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        rows.last().filter(|_| more).map(|last| sealed(app, &self.query, place(last)))
    }
}

fn tag(app: &App, query: &[u8], place: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&app.keyring.derived("remint cursor"));
    context.update(&(query.len() as u64).to_be_bytes());
    context.update(query);
    context.update(place);
    context.sign()
}

fn sealed(app: &App, query: &[u8], mut place: Vec<u8>) -> String {
    let tag = tag(app, query, &place);
    place.extend_from_slice(&tag.as_ref()[..TAG]);
    URL_SAFE_NO_PAD.encode(place)
}

fn opened(app: &App, query: &[u8], text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_CURSOR_BYTES {
        return None;
    }
    let mut place = URL_SAFE_NO_PAD.decode(text).ok()?;
    let shown = place.split_off(place.len().checked_sub(TAG)?);
    let tag = tag(app, query, &place);
    aws_lc_rs::constant_time::verify_slices_are_equal(&tag.as_ref()[..TAG], &shown).ok()?;
    Some(place)
}
