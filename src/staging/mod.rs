//! The two sides in canonical form: columns paired by name, a type in which both can be compared, values converted
//! where they must be, and everything that was assumed or converted said.
//!
//! Floor 3: imports `domain`, `job`, `source` and `error`.

mod canonical;
mod guard;
mod infer;
mod pairing;
mod prepared;
mod session;
mod show;

pub use canonical::{CanonicalBatch, Canonicaliser};
pub use guard::refuse_unsafe_joins;
pub use infer::{infer_key, infer_time};
pub use pairing::{Conversion, Pairing, SchemaFact, SchemaFactKind, comparable};
pub use prepared::{PairedColumn, Prepared, prepare};
pub use session::session;
pub use show::{Shower, json_string};
