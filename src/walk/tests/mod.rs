//! Scenarios about walks, on a list in memory and with time in our hand.

mod budget;
mod confirm;
mod details;
mod life;
mod limits;
mod list;
mod missed;
mod observe;
mod odd;
mod proof;
mod rate_limit;
mod walks;
