//! Published events are cancelled, or put to another time.

mod cancel;
mod reschedule;
