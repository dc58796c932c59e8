//! Whether a stranger can tell which accounts there are: failed log-ins of an unknown identifier, of a known one, of one
//! without a password and of one that is disabled. Status and body must be the same to the byte; of the times the medians
//! are printed, and their ratio.

use remint::clock::Stopwatch;

use crate::child::{Server, free_port};
use crate::report::{Figures, line, title};
use crate::seed::{CLIENT, PEOPLE, Proof, Seeded};
use crate::wire::{Connection, asking};
use crate::{Fallible, Scale};

/// How each kind of account is called in the seed; nobody is a stranger.
const KINDS: [(&str, &str); 4] = [
    ("stranger", "unknown"),
    ("person", "known, wrong password"),
    ("bare", "without a password"),
    ("away", "disabled"),
];
/// Samples of each kind in a round.
const IN_A_ROUND: u64 = 50;

pub(crate) async fn measure(scale: Scale) -> Fallible<()> {
    // Below ten of each account: then it would be locked.
    let samples = (scale.rounds as u64 * IN_A_ROUND).min(PEOPLE * 9);
    title(&format!("failed log-ins, {samples} of each kind in turn, one at a time, the server on one core"));
    let seeded = Seeded::new(0, Proof::RefreshToken).await?;
    let server = Server::remint(seeded.path(), free_port()?, "info").await?;
    let mut connection = Connection::open(server.address).await?;
    let (mut times, mut first) = (KINDS.map(|_| Vec::new()), None);
    for sample in 0..samples {
        for (times, (called, _)) in times.iter_mut().zip(KINDS) {
            let request = guess(&format!("{called}-{}", sample % PEOPLE));
            let stopwatch = Stopwatch::start();
            let answer = connection.exchange(request.as_bytes()).await?;
            times.push(stopwatch.elapsed());
            let seen = (answer.status, answer.body.to_vec());
            let first = first.get_or_insert_with(|| seen.clone());
            if seen.0 != 400 || seen != *first {
                return Err(
                    format!("{called} is answered otherwise: {} {}", seen.0, String::from_utf8_lossy(&seen.1)).into()
                );
            }
        }
    }
    let medians = times.each_ref().map(|times| Figures::of_times(times).median());
    for ((_, kind), median) in KINDS.iter().zip(medians) {
        let ratio = median / medians[0];
        line(&format!("{kind}: median, ms; ratio"), &format!("{:.2}  {ratio:.3}", median / 1e3));
    }
    let all = Figures::of(medians);
    line("the longest median to the shortest", &format!("{:.3}", all.quantile(1.0) / all.quantile(0.0)));
    Ok(())
}

fn guess(identifier: &str) -> String {
    let body = format!(r#"{{"client_id":"{CLIENT}","identifier":"{identifier}","password":"a guess of theirs"}}"#);
    asking("POST", "/session", "", Some(("json", &body)))
}
