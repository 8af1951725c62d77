//! Stories about walks, on a list in memory and with time in our hand.

mod details;
mod life;
mod list;
mod missed;
mod odd;
mod proof;
mod walks;
mod watch;
