//! The exposition of a single run, for a file or a terminal.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::{
    account::Rendered,
    answer::{Answer, AnswerBody, Encoding, Format},
    own,
    press::Press,
    published::{Member, join, weave},
};
use crate::{snapshot::AccountState, telemetry::Instruments};

/// The text of [`single_run`], a small portion at a time.
#[derive(Debug)]
pub struct SingleRun(AnswerBody);

/// Renders the states in text format 0.0.4, with what was counted about their walks and requests.
///
/// What tells of the process, of our own server or of the build is left out, and so are histograms:
/// a text file collector that serves this has families of these names itself, or cannot take them.
pub fn single_run(states: &[Arc<AccountState>], instruments: &Instruments) -> SingleRun {
    let mut press = Press::new();
    let render = |state: &Arc<AccountState>| Arc::new(Rendered::new(state, None, &mut press));
    let accounts: Vec<_> = states.iter().map(render).collect();
    let mut families = join(&accounts, Instant::now(), &mut press);
    families.append(&mut own::gather(instruments, &mut press));
    families.retain(|(metric, _)| metric.family().is_in_single_run());
    press.begin_member();
    weave(&families, Format::Text, &mut press);
    let begun = press.pieces();
    let member = Member::end(&begun, Format::Text, &mut press);
    SingleRun(Answer::new(&member, Encoding::Identity).body)
}

impl Iterator for SingleRun {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.0.next()
    }
}
