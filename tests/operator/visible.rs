//! What status, events and printed columns show, and what they never show.
