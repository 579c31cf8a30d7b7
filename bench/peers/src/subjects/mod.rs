//! What is asked, in the order of the report.

mod cancel;
mod channels;
mod channels_async;
mod generators;
mod growth;
mod ipc;
mod latency;
mod locks;
mod memory;
mod net;
mod net_client;
mod net_server;
mod processes;
mod selects;
mod skew;
mod spawn;
mod switch;
mod timers;
mod wake;

use crate::frame::table::Subject;

pub(crate) fn all() -> Vec<Subject> {
    vec![
        switch::subject(),
        spawn::subject(),
        memory::subject(),
        channels::subject(),
        locks::subject(),
        generators::subject(),
        timers::subject(),
        net::echo(),
        net::http(),
        wake::subject(),
        processes::subject(),
        ipc::subject(),
        cancel::subject(),
        skew::subject(),
        growth::subject(),
    ]
}
