//! The window: a snapshot becomes compressed fragments, once; an answer is a copy of bytes.
//!
//! The way of a sample through the room:
//!
//! 1. `endpoints`, `counts` and `walks` write the lines of one account, family by family, and
//!    `press` compresses each family into a `Fragment` (`account` keeps them until the snapshot
//!    changes);
//! 2. `published` joins the fragments of all accounts in the order of the catalogue, once per
//!    format, because in an exposition all samples of a family stand together;
//! 3. `own` does the same with what the registry holds, at most once a second;
//! 4. [`Exposition::answer`] hands out the finished pieces.
//!
//! A [`Sheet`] is a small exposition of its own, written sample by sample for one answer.
//!
//! Both text formats and both encodings come from the same fragments: only the lines of metadata
//! differ between the formats, and an answer without compression is inflated while it is sent.

mod account;
mod answer;
mod counts;
mod endpoints;
mod lines;
mod metadata;
mod own;
mod press;
mod published;
mod sheet;
mod single_run;
mod walks;
mod window;
mod words;

pub use answer::{Answer, AnswerBody, Encoding, Format};
pub use lines::Value;
pub use sheet::Sheet;
pub use single_run::{SingleRun, single_run};
pub use window::Exposition;
pub use words::AccountSummary;

#[cfg(test)]
mod tests;
