//! The wire types of Kratos' admin API: pure data, no request and no clock. Reading tolerates unknown fields,
//! `null` for a missing list and an unreadable time; writing leaves out what is absent, because older servers
//! refuse unknown fields. No `Debug` here shows a trait, metadata, credential or secret.

mod content;
mod identity;
mod outcome;
mod patch;
mod piecewise;
mod request;
mod secret;
mod session;
mod tolerant;

pub use content::{Cause, Content, Member, Opaque};
pub use identity::{Credential, CredentialType, Identity, Readable, RecoveryAddress, State, VerifiableAddress};
pub(super) use outcome::read_schema;
pub use outcome::{BatchAnswer, BatchOutcome, RecoveryCode, RecoveryLink, Removal, SchemaContainer, SchemaFault};
pub use patch::PatchOperation;
pub use piecewise::{Items, members};
pub use request::{
    AddressImport, BatchItem, CreateIdentity, CredentialImport, OidcLink, PasswordImport, UpdateIdentity,
    VerifiedAddressImport,
};
pub use secret::Secret;
pub use session::{AuthenticationMethod, Device, Session};
