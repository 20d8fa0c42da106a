//! The wire protocol: requests parsed, replies written, every error text.

pub mod error;
pub mod request;
pub mod inline;
mod line;
pub mod parser;
pub mod reply;
