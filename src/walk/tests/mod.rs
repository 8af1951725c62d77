//! Tests of walks that read a list in memory, with a paused clock.

mod budget;
mod condition;
mod confirm;
mod details;
mod life;
mod limits;
mod list;
mod missed;
mod observe;
mod odd;
mod proof;
mod settings;
mod walks;
