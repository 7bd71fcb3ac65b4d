//! What clients get, good ones and others, over connections of real bytes.

mod bounds;
mod resumed;
mod talks;
mod turned_back;
mod world;
