//! The window: a picture becomes compressed fragments, once; an answer is a copy of bytes.

mod answer;

pub use answer::{AccountSummary, Answer, AnswerBody, Encoding, Exposition, Format};
