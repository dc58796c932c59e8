//! Where PostgreSQL differs: connections, what is asked on them and how they fail. Several nodes write to one database; all
//! that one of them relies on is locked, or counted when it is written. Nothing here waits for a caller within a transaction.

mod ages;
mod alone;
mod batch;
mod column;
#[cfg(test)]
mod engines;
mod link;
mod place;
mod pooler;
mod raise;
mod reading;
pub(super) mod schema;
mod session;
mod statements;
mod tables;
mod tls;
mod trouble;
mod writer;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::StoreOptions;
use super::documents::Documents;
use super::error::OpenError;
use super::order::Queue;
use link::Link;
use place::Place;
use reading::Pool;
use writer::Writer;

pub(super) use alone::Alone;
pub(super) use column::{Column, Kind, field, text};
pub(super) use place::{config, named};
pub use raise::raise_database;
pub(super) use reading::Reading;
pub use schema::Step;
pub(super) use session::Session;
pub(super) use statements::AGE;
pub(super) use trouble::Trouble;

/// How long a question may take that scans. Whoever asks it is in no hurry.
const SCAN_PATIENCE: Duration = Duration::from_secs(60);

/// Opens the database: who reads it, and the thread that writes it.
pub(super) fn open(
    url: &str,
    options: StoreOptions,
    seed: [u8; 16],
    queue: Queue,
) -> Result<(Reading, JoinHandle<()>), OpenError> {
    // Whoever waits for a commit waits no longer than this, however long the store would let it wait.
    let patience = options.longest_wait.clamp(Duration::from_millis(100), remint_core::policy::SERVER_DEADLINE);
    let near = Place::new(url, options.database_ca_file.as_deref(), patience)?;
    let far = near.with_patience(SCAN_PATIENCE);
    let documents = Arc::new(Documents::new());
    let reading = Reading {
        readers: Pool::start("store-reader", options.readers, &near, &documents),
        scanners: Pool::start("store-scanner", options.scans, &far, &documents),
        looker: Pool::start("store-looker", 1, &near, &documents),
        documents: Arc::clone(&documents),
        ages: Arc::default(),
    };
    let (told, opened) = mpsc::channel();
    let place = near.to_string();
    let refused = |what: String| OpenError::Refused { place: place.clone(), what };
    let writing = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || {
        let begun = pooler::none_between(&near)
            .and_then(|()| schema::migrate(&far, &options.later_steps, seed))
            .and_then(|()| {
                let mut writer = Writer::new(Link::leading(near), documents, options, queue);
                writer.look().map_err(|what| OpenError::Refused { place: far.to_string(), what })?;
                Ok(writer)
            });
        match begun {
            Ok(writer) => {
                let _ = told.send(Ok(())); // whoever opened it waits
                writer.run();
            }
            Err(error) => drop(told.send(Err(error))),
        }
    });
    let writing = writing.map_err(|error| refused(error.to_string()))?;
    let begun = opened.recv().unwrap_or_else(|error| Err(refused(error.to_string())));
    begun.map(|()| (reading, writing))
}
