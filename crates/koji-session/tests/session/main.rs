//! Sessions against small servers inside the test: what is sent, what is repeated, and what is understood.

mod calls;
mod fake_hub;
mod login;
mod real_hub;
mod tls;
mod typed;
mod uploads;
