//! The client of Kratos' admin API.
