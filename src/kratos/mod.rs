//! The client of Kratos' admin API: one method per operation of the API document, its types, its errors and what
//! follows from them. It may not know Kubernetes, and may not decide what an identity should be.

#![doc = include_str!("README.md")]

mod audit;
mod batcher;
mod changes;
mod client;
mod client_certificate;
mod config;
mod connections;
mod error;
mod fault;
pub mod identifier;
mod identities;
mod kind;
mod page;
mod reader;
mod recovery;
mod retry;
mod schemas;
mod sessions;
#[cfg(test)]
mod tests;
mod transport;
pub mod types;
mod verbatim;
mod writer;

pub use audit::{Auditor, Initiator, Outcome, Record, WriteCause};
pub use batcher::{BatchMode, Batcher};
pub use client::{Client, GRACE, OPERATIONS, Observer};
pub use client_certificate::{CertificateError, ClientCertificate};
pub use config::{BearerToken, ClientConfig, ConfigError, RateLimit};
pub use error::{Class, Error};
pub use identities::{Consistency, IDS_PER_REQUEST, IdentityFilter};
pub use page::Page;
pub use reader::Reader;
pub use sessions::{Expand, SessionFilter};
pub use types::{
    AddressImport, AuthenticationMethod, BatchAnswer, BatchItem, BatchOutcome, Cause, Content, CreateIdentity,
    Credential, CredentialImport, CredentialType, Device, Identity, Member, OidcLink, Opaque, PasswordImport,
    PatchOperation, Readable, RecoveryAddress, RecoveryCode, RecoveryLink, Removal, SchemaContainer, SchemaFault,
    Secret, Session, State, UpdateIdentity, VerifiableAddress, VerifiedAddressImport,
};
pub use writer::Writer;
