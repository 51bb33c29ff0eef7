//! Values that every part knows: days and windows, ids, products.

pub mod calendar;
pub mod ids;
pub mod product;
pub mod windows;
