//! Settings: read once, complete, valid ever after.
//!
//! Three layers lie on one another: the embedded `default.yaml` (which is also the reference that
//! people read), the operator's file, the environment. The `config` crate reads and layers them; the
//! walk over the resulting tree is ours, because it collects **every** mistake with its key's path.

mod model;

pub use model::{
    Account, Api, Config, Filter, Group, GroupMatch, Metrics, Optional, Poll, Token, Watch,
};
