//! What each deletion policy does to the identity.
