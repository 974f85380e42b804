//! The plugin boundary from the host's side: what loads, what is refused, what is contained.
mod again;
mod collective;
mod compose;
mod contain;
mod families;
mod keep;
mod load;
mod methods;
mod refuse;
mod support;
mod trust;
