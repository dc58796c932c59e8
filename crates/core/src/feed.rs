//! The feed on the wire: what `GET /feed` answers, written and read. An event stream as the HTML standard has it
//! (section 9.2, server-sent events); the server writes with this room, every guard and every test reads with it.
//!
//! A follower sends `Last-Event-ID: <seq>-<chain>` where it has a place in the feed ([`Cursor`]). The answer is
//!
//! 1. [`Hello`], always first;
//! 2. where it says that it did not resume: the parts of a snapshot, then the end of the snapshot with its place;
//! 3. each event as it happens, with its place, and heartbeats with the newest place.
//!
//! Amid a snapshot there is no place to name: a comment ([`STILL_HERE`]) stands for the heartbeat there.
//!
//! Events that do not concern the follower's audience are not sent: it cannot recompute the chain, it echoes its place.
//! Nothing here does IO, and nothing here decides what an event means: see [`crate::ledger`].

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::{Cursor, Event};

/// The media type of the answer.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// How many events one part of a snapshot holds at most.
pub const PART_EVENTS: usize = 500;

/// After how many bytes of events a part of a snapshot is closed, however few they are.
const PART_BYTES: usize = 256 * 1024;

/// The largest frame that is read, in bytes: a part of a snapshot four times over.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;

/// A comment: no message, but a sign that the other side lives.
pub const STILL_HERE: &str = ":\n\n";

const HELLO: &str = "hello";
const SNAPSHOT: &str = "snapshot";
const SNAPSHOT_END: &str = "snapshot-end";
const HEARTBEAT: &str = "heartbeat";

/// The first message: who speaks, to whom, and the times that both sides must agree on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The issuer.
    pub issuer: String,
    /// The audience that the follower's credential belongs to.
    pub audience: String,
    /// How long a client waits for an answer, milliseconds.
    pub client_timeout_ms: u64,
    /// How long the server takes for an answer at most, milliseconds.
    pub server_deadline_ms: u64,
    /// The leeway that verifiers should grant to clocks, milliseconds.
    pub leeway_ms: u64,
    /// How often a heartbeat is sent, milliseconds.
    pub heartbeat_ms: u64,
    /// Whether the feed goes on from the place that was sent. If not, a snapshot follows, and what the follower knew
    /// before is void.
    pub resumed: bool,
    /// The newest place at the time of the answer.
    #[serde(serialize_with = "place_out", deserialize_with = "place_in")]
    pub cursor: Cursor,
}

impl Hello {
    /// [`Hello::heartbeat_ms`] as a duration.
    pub const fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }
}

fn place_out<S: Serializer>(cursor: &Cursor, sink: S) -> Result<S::Ok, S::Error> {
    sink.collect_str(cursor)
}

fn place_in<'de, D: Deserializer<'de>>(source: D) -> Result<Cursor, D::Error> {
    String::deserialize(source)?.parse().map_err(serde::de::Error::custom)
}

/// One message of the feed, as a follower reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first.
    Hello(Hello),
    /// A part of a snapshot: what still matters of the past, in no particular order.
    Snapshot(Vec<Event>),
    /// The snapshot is complete, and is the state at this place.
    SnapshotEnd(Cursor),
    /// Something happened.
    Live {
        /// The place after it.
        cursor: Cursor,
        /// What.
        event: Event,
    },
    /// Nothing happened that concerns the follower; this is the newest place.
    Heartbeat(Cursor),
    /// Something that this version does not know. The follower's place moves on where one was named.
    Unknown(Option<Cursor>),
}

/// A frame is no message of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the feed sent a `{0}` message that cannot be read")]
pub struct BadMessage(&'static str);

impl Message {
    /// Reads a frame.
    ///
    /// # Errors
    /// [`BadMessage`] where a known message has no place, or data of the wrong form: what it said is lost, so the
    /// follower must begin anew.
    pub fn read(frame: &Frame) -> Result<Self, BadMessage> {
        match frame.event.as_str() {
            HELLO => serde_json::from_str(&frame.data).map(Self::Hello).map_err(|_| BadMessage(HELLO)),
            SNAPSHOT => part(&frame.data).map(Self::Snapshot).ok_or(BadMessage(SNAPSHOT)),
            SNAPSHOT_END => frame.place().map(Self::SnapshotEnd).ok_or(BadMessage(SNAPSHOT_END)),
            HEARTBEAT => frame.place().map(Self::Heartbeat).ok_or(BadMessage(HEARTBEAT)),
            name => match TYPES.into_iter().find(|known| *known == name) {
                Some(name) => frame.live(name).ok_or(BadMessage(name)),
                None => Ok(Self::Unknown(frame.place())),
            },
        }
    }
}

/// The types of event that this version knows.
const TYPES: [&str; 6] =
    ["claims-changed", "user-ended", "session-ended", "client-changed", "token-ended", "key-withdrawn"];

/// The `type` of an event: its name on the wire.
pub const fn type_of(event: &Event) -> &'static str {
    match event {
        Event::ClaimsChanged { .. } => TYPES[0],
        Event::UserEnded { .. } => TYPES[1],
        Event::SessionEnded { .. } => TYPES[2],
        Event::ClientChanged { .. } => TYPES[3],
        Event::TokenEnded { .. } => TYPES[4],
        Event::KeyWithdrawn { .. } => TYPES[5],
    }
}

/// The events of a part of a snapshot. A type that is not known is passed over; a known one must be well-formed.
fn part(data: &str) -> Option<Vec<Event>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entry {
        Known(Event),
        Other {
            #[serde(rename = "type")]
            name: String,
        },
    }
    let entries: Vec<Entry> = serde_json::from_str(data).ok()?;
    entries
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Known(event) => Some(Some(event)),
            Entry::Other { name } => TYPES.contains(&name.as_str()).then_some(None),
        })
        .collect()
}

/// The frame of [`Message::Hello`].
pub fn hello(hello: &Hello) -> String {
    // A struct of numbers and strings always has a JSON form.
    Frame { id: None, event: HELLO.to_owned(), data: serde_json::to_string(hello).unwrap_or_default() }.to_string()
}

/// The frame of [`Message::Live`]. `name` is the event's type ([`type_of`]), `text` its JSON exactly as it was chained.
pub fn live(cursor: Cursor, name: &str, text: &str) -> String {
    Frame { id: Some(cursor.to_string()), event: name.to_owned(), data: text.to_owned() }.to_string()
}

/// The frame of [`Message::Heartbeat`].
pub fn heartbeat(cursor: Cursor) -> String {
    Frame { id: Some(cursor.to_string()), event: HEARTBEAT.to_owned(), data: "{}".to_owned() }.to_string()
}

/// Writes a snapshot in bounded parts.
#[derive(Debug, Default)]
pub struct SnapshotWriter {
    array: String,
    events: usize,
}

impl SnapshotWriter {
    /// Adds one event, as JSON. Answers a frame to send whenever a part is full.
    #[must_use]
    pub fn push(&mut self, text: &str) -> Option<String> {
        self.array.push(if self.events == 0 { '[' } else { ',' });
        self.array.push_str(text);
        self.events += 1;
        (self.events >= PART_EVENTS || self.array.len() >= PART_BYTES).then(|| self.part())
    }

    /// The frames that end the snapshot, which is the state at `cursor`: what is left of the events, and the end.
    #[must_use]
    pub fn finish(mut self, cursor: Cursor) -> String {
        let rest = if self.events == 0 { String::new() } else { self.part() };
        let end = Frame { id: Some(cursor.to_string()), event: SNAPSHOT_END.to_owned(), data: "{}".to_owned() };
        format!("{rest}{end}")
    }

    fn part(&mut self) -> String {
        let mut data = std::mem::take(&mut self.array);
        data.push(']');
        self.events = 0;
        Frame { id: None, event: SNAPSHOT.to_owned(), data }.to_string()
    }
}

/// One block of an event stream. As text (`Display`) it is what goes over the wire, the blank line included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The `id` of this very frame, if it has one.
    pub id: Option<String>,
    /// Its `event`; `message` where it names none.
    pub event: String,
    /// Its `data`, lines joined by a line feed.
    pub data: String,
}

impl Frame {
    fn place(&self) -> Option<Cursor> {
        self.id.as_deref()?.parse().ok()
    }

    fn live(&self, name: &str) -> Option<Message> {
        let event: Event = serde_json::from_str(&self.data).ok()?;
        (type_of(&event) == name).then_some(Message::Live { cursor: self.place()?, event })
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(id) = &self.id {
            writeln!(f, "id: {id}")?;
        }
        writeln!(f, "event: {}", self.event)?;
        for line in self.data.split('\n') {
            writeln!(f, "data: {line}")?;
        }
        writeln!(f)
    }
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadStream {
    /// A frame longer than [`MAX_FRAME_BYTES`].
    #[error("the feed sent a frame of more than {MAX_FRAME_BYTES} bytes")]
    TooLong,
    /// Bytes that are no UTF-8.
    #[error("the feed sent bytes that are not UTF-8")]
    NotUtf8,
}

/// Reads an event stream piece by piece, wherever the pieces are cut. Lines end with LF, CR LF or CR; comments, `retry`
/// and unknown fields are passed over; a block without data is no frame; what is unfinished at the end is none either.
#[derive(Debug, Default)]
pub struct FrameReader {
    line: Vec<u8>,
    frame: Frame,
    has_data: bool,
    size: usize,
    after_cr: bool,
    begun: bool,
}

impl FrameReader {
    /// Takes the next bytes, and answers the frames that they complete.
    ///
    /// # Errors
    /// [`BadStream`]; the reader is of no use after that.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, BadStream> {
        let mut frames = Vec::new();
        let mut rest = bytes;
        if let (true, [b'\n', tail @ ..]) = (self.after_cr, rest) {
            rest = tail; // the second half of a CR LF that was cut in two
        }
        if !bytes.is_empty() {
            self.after_cr = false;
        }
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.take(&rest[..at])?;
            let cr = rest[at] == b'\r';
            rest = &rest[at + 1..];
            match (cr, rest) {
                (true, [b'\n', tail @ ..]) => rest = tail,
                (true, []) => self.after_cr = true,
                _ => {}
            }
            frames.extend(self.end_line()?);
        }
        self.take(rest)?;
        Ok(frames)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), BadStream> {
        self.size += bytes.len();
        if self.size > MAX_FRAME_BYTES {
            return Err(BadStream::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<Option<Frame>, BadStream> {
        let line = std::mem::take(&mut self.line);
        let mut line = std::str::from_utf8(&line).map_err(|_| BadStream::NotUtf8)?;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.end_frame());
        }
        self.size += 1;
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        self.field(field, value.strip_prefix(' ').unwrap_or(value));
        Ok(None)
    }

    fn field(&mut self, field: &str, value: &str) {
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.frame.event),
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            _ => {} // a comment begins with the colon: its field is empty
        }
    }

    fn end_frame(&mut self) -> Option<Frame> {
        self.size = 0;
        let mut frame = std::mem::take(&mut self.frame);
        if frame.event.is_empty() {
            "message".clone_into(&mut frame.event);
        }
        std::mem::take(&mut self.has_data).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::ChainHash;
    use crate::id::SessionId;
    use crate::session::EndReason;
    use crate::time::Timestamp;

    fn cursor(seq: u64) -> Cursor {
        Cursor { seq, chain: ChainHash::from_bytes([0x5a; 16]) }
    }

    fn ended(n: u8) -> Event {
        Event::SessionEnded {
            sid: SessionId::from_bytes([n; 16]),
            reason: EndReason::Logout,
            forget_after: Timestamp::from_secs(i64::from(n)),
        }
    }

    fn greeting() -> Hello {
        Hello {
            issuer: "https://auth.example.test".to_owned(),
            audience: "demo-api".to_owned(),
            client_timeout_ms: 10_000,
            server_deadline_ms: 5_000,
            leeway_ms: 5_000,
            heartbeat_ms: 1_000,
            resumed: false,
            cursor: cursor(3),
        }
    }

    fn text(event: &Event) -> String {
        serde_json::to_string(event).unwrap()
    }

    /// A whole answer: greeting, a snapshot in two parts, an event, a heartbeat.
    fn whole_answer() -> (String, Vec<Message>) {
        let mut stream = hello(&greeting());
        let mut writer = SnapshotWriter::default();
        let events: Vec<Event> = (0..=PART_EVENTS).map(|n| ended(n as u8)).collect();
        for event in &events {
            stream.extend(writer.push(&text(event)));
        }
        stream += &writer.finish(cursor(3));
        stream += &live(cursor(4), type_of(&ended(9)), &text(&ended(9)));
        stream += &heartbeat(cursor(7));
        let (first, second) = events.split_at(PART_EVENTS);
        let messages = vec![
            Message::Hello(greeting()),
            Message::Snapshot(first.to_vec()),
            Message::Snapshot(second.to_vec()),
            Message::SnapshotEnd(cursor(3)),
            Message::Live { cursor: cursor(4), event: ended(9) },
            Message::Heartbeat(cursor(7)),
        ];
        (stream, messages)
    }

    fn frames(stream: &[u8]) -> Result<Vec<Frame>, BadStream> {
        FrameReader::default().push(stream)
    }

    #[test]
    fn what_is_written_is_read() {
        let (stream, messages) = whole_answer();
        let read: Vec<Message> =
            frames(stream.as_bytes()).unwrap().iter().map(|frame| Message::read(frame).unwrap()).collect();
        assert_eq!(read, messages);
    }

    #[test]
    fn a_stream_cut_at_any_byte_gives_the_same_frames() {
        let stream = format!("\u{feff}: hi\r\n{}id\rdata: ä\ndata\r\n\r\n: end\n", live(cursor(4), "x", "a\nb"));
        let whole = frames(stream.as_bytes()).unwrap();
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[1], Frame { id: Some(String::new()), event: "message".to_owned(), data: "ä\n".to_owned() });
        for cut in 0..=stream.len() {
            let mut reader = FrameReader::default();
            let mut read = reader.push(&stream.as_bytes()[..cut]).unwrap();
            read.extend(reader.push(&[]).unwrap());
            read.extend(reader.push(&stream.as_bytes()[cut..]).unwrap());
            assert_eq!(read, whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_whether_it_ends_or_not() {
        let long = vec![b'x'; MAX_FRAME_BYTES + 1];
        assert_eq!(frames(&long), Err(BadStream::TooLong));
        let many_lines = "data: 1234567890\n".repeat(MAX_FRAME_BYTES / 16);
        assert_eq!(frames(many_lines.as_bytes()), Err(BadStream::TooLong));
        let comments = ":\n\n".repeat(MAX_FRAME_BYTES);
        assert_eq!(frames(comments.as_bytes()), Ok(Vec::new()), "a heartbeat by comments goes on for ever");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(frames(b"data: \xff\n\n"), Err(BadStream::NotUtf8));
    }

    #[test]
    fn a_message_without_its_place_or_with_another_event_inside_is_refused() {
        let event = text(&ended(1));
        for (id, name, data) in [
            (None, "session-ended", event.as_str()),
            (Some("7"), "session-ended", &event),
            (Some(&*cursor(1).to_string()), "user-ended", &event),
            (Some(&*cursor(1).to_string()), "session-ended", "{}"),
            (None, "heartbeat", "{}"),
            (None, "snapshot-end", "{}"),
            (None, "snapshot", r#"[{"type":"session-ended"}]"#),
            (None, "snapshot", "{}"),
            (None, "hello", "{}"),
        ] {
            let frame = Frame { id: id.map(str::to_owned), event: name.to_owned(), data: data.to_owned() };
            assert!(Message::read(&frame).is_err(), "{frame:?}");
        }
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over_and_the_place_moves_on() {
        let frame = Frame { id: Some(cursor(8).to_string()), event: "moon-phase".to_owned(), data: "{}".to_owned() };
        assert_eq!(Message::read(&frame), Ok(Message::Unknown(Some(cursor(8)))));
        let data = format!(r#"[{{"type":"moon-phase","x":1}},{}]"#, text(&ended(1)));
        let frame = Frame { id: None, event: SNAPSHOT.to_owned(), data };
        assert_eq!(Message::read(&frame), Ok(Message::Snapshot(vec![ended(1)])));
    }

    #[test]
    fn every_event_is_named_by_its_own_type() {
        let value = serde_json::to_value(ended(1)).unwrap();
        assert_eq!(value["type"], type_of(&ended(1)));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_frames_or_the_same_refusal(
            stream in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0_usize..200, 0..8),
        ) {
            let whole = frames(&stream);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let mut reader = FrameReader::default();
            let pieces: Result<Vec<_>, _> =
                cuts.windows(2).map(|pair| reader.push(&stream[pair[0]..pair[1]])).collect();
            prop_assert_eq!(pieces.map(|pieces| pieces.concat()), whole);
        }

        #[test]
        fn any_frame_is_read_as_it_was_written(id in "[0-9a-f-]{0,40}", name in "[a-z-]{1,20}", data in "[ -~\n]{0,200}") {
            let frame = Frame { id: Some(id), event: name, data };
            prop_assert_eq!(frames(frame.to_string().as_bytes()), Ok(vec![frame]));
        }
    }
}
