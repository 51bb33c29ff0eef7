//! Values that every part knows: days and windows, ids.

pub mod calendar;
pub mod ids;
