//! What is asked, in the order of the report.

mod channels;
mod channels_async;
mod generators;
mod locks;
mod memory;
mod net;
mod net_client;
mod net_server;
mod processes;
mod selects;
mod spawn;
mod switch;

use crate::frame::table::Subject;

pub(crate) fn all() -> Vec<Subject> {
    vec![
        switch::subject(),
        spawn::subject(),
        memory::subject(),
        channels::subject(),
        locks::subject(),
        generators::subject(),
        net::echo(),
        net::http(),
        processes::subject(),
    ]
}
