//! A database that was brought back to an earlier point, made fit to be served: it goes on from what it holds and not from
//! what happened after it. The rules are those of a restored data file. Works alone, and all at once.

use std::path::Path;

use remint_core::event::ChainHash;
use remint_core::time::Timestamp;
use serde_json::Value;
use tokio_postgres::types::ToSql;

use super::alone::Alone;
use super::column::{Column, text};
use super::schema;
use super::session::Session;
use super::statements::AGE;
use super::trouble::Trouble;
use crate::store::StoreError;
use crate::store::error::OpenError;
use crate::store::sqlite::{Examined, RAISED_BY};

/// Events in memory at a time.
const SLICE: i64 = 1000;

const NEWEST: &str =
    "SELECT MAX(at) FROM (SELECT MAX(last_seen) AS at FROM sessions UNION ALL SELECT MAX(at) FROM feed) AS a";
const USERS: &str = "SELECT COUNT(*) FROM users WHERE status <> 'deleted'";
const LIVE: &str = "SELECT COUNT(*) FROM sessions JOIN users ON users.id = sessions.user_id \
                    WHERE ended_at IS NULL AND sessions.epoch = users.epoch AND LEAST(idle_at, absolute_at) > $1";
const EVENTS: &str = "SELECT seq, event FROM feed WHERE seq > $1 ORDER BY seq LIMIT $2";
const CHAINED: &str = "UPDATE feed SET chain = k.chain FROM UNNEST($1::BIGINT[], $2::BYTEA[]) AS k (seq, chain) \
                       WHERE feed.seq = k.seq";
const HEAD: &str = "UPDATE feed_head SET chain = $1, origin = $2 WHERE one = 1";
const RAISED: &str = "UPDATE clients SET rev = rev + 1, document = $2 WHERE id = $1";
const ENDED: &str = "UPDATE users SET epoch = epoch + 1, epoch_reason = 'revoked' WHERE status <> 'deleted'";

/// Raises the database at `url`, and says what it held. The feed gets another origin, `seed`; the versions of users and
/// clients rise above all that tokens may show. With `end_sessions` every session ends.
///
/// # Errors
/// Where the database cannot be opened, is in use, or fails; then it is as it was.
pub fn raise_database(
    url: &str,
    ca_file: Option<&Path>,
    seed: [u8; 16],
    end_sessions: bool,
) -> Result<Examined, OpenError> {
    let Alone { place, session } = Alone::at(url, ca_file)?;
    let refused = |trouble: Trouble| OpenError::Refused { place: place.to_string(), what: trouble.to_string() };
    let schema = schema::schema_of_ours(&session, &place, schema::LATEST)?.version;
    session.script("BEGIN; LOCK TABLE users, sessions, clients, feed, feed_head IN SHARE MODE").map_err(refused)?;
    let examined = examined(&session, schema).map_err(refused)?;
    session.script(&format!("UPDATE users SET cv = cv + {RAISED_BY}, rev = rev + 1; {AGE}")).map_err(refused)?;
    raise_clients(&session).map_err(refused)?;
    if end_sessions {
        session.script(ENDED).map_err(refused)?;
    }
    chain_anew(&session, ChainHash::origin(seed)).map_err(refused)?;
    session.commit().map_err(refused)?;
    Ok(examined)
}

fn examined(session: &Session, schema: u32) -> Result<Examined, Trouble> {
    let number = |sql, params: &[&(dyn ToSql + Sync)]| {
        let rows = session.seldom(sql, params)?;
        let number = rows.first().map(|row| row.try_get::<_, Option<i64>>(0)).transpose()?;
        Ok::<_, Trouble>(number.flatten().unwrap_or_default())
    };
    let newest = number(NEWEST, &[])?;
    Ok(Examined {
        taken_at: Timestamp::from_micros(newest),
        marked: false,
        schema,
        users: number(USERS, &[])?.unsigned_abs(),
        live_sessions: number(LIVE, &[&newest])?.unsigned_abs(),
    })
}

/// Raises the `pv` of every client. Here, and not by the database: it takes texts for JSON that it cannot read.
fn raise_clients(session: &Session) -> Result<(), Trouble> {
    for row in session.seldom("SELECT id, document FROM clients", &[])? {
        let id = text(&row, 0);
        let what = || "its document cannot be read".to_owned();
        let unreadable = || Trouble::Failed(StoreError::Corrupt { table: "clients", key: id.clone(), what: what() });
        let mut document: Value = serde_json::from_str(&text(&row, 1)).map_err(|_| unreadable())?;
        let pv = document["pv"].as_u64().and_then(|pv| pv.checked_add(RAISED_BY.unsigned_abs()));
        document["pv"] = pv.ok_or_else(unreadable)?.into();
        session.seldom(RAISED, &[&id, &document.to_string()])?;
    }
    Ok(())
}

/// The same events as another history.
fn chain_anew(session: &Session, origin: ChainHash) -> Result<(), Trouble> {
    let (mut chain, mut after) = (origin, 0_i64);
    loop {
        let rows = session.seldom(EVENTS, &[&after, &SLICE])?;
        let mut chained = Vec::with_capacity(rows.len());
        for row in &rows {
            chain = chain.then(&text(row, 1));
            after = row.try_get(0)?;
            chained.push((after, *chain.as_bytes()));
        }
        if chained.is_empty() {
            break;
        }
        let seqs = Column::Ints(chained.iter().map(|(seq, _)| Some(*seq)).collect());
        let chains = Column::Blobs(chained.iter().map(|(_, chain)| Some(chain.as_slice())).collect());
        session.seldom(CHAINED, &[&seqs, &chains])?;
    }
    session.seldom(HEAD, &[&chain.as_bytes().as_slice(), &origin.as_bytes().as_slice()]).map(drop)
}
