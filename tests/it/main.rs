//! Stories about the whole program, in one binary so that it links once.
#![expect(
    clippy::unwrap_used,
    reason = "a story that cannot go on has failed, and the line says where"
)]

mod layering;
