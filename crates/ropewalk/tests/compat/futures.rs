//! The traits of `futures-io`.

use std::future::poll_fn;
use std::pin::Pin;

use futures_io::{AsyncRead as _, AsyncWrite as _};
use ropewalk::compat::Io;
use ropewalk::coroutine;
use ropewalk::future::block_on;
use ropewalk::net::TcpStream;

use super::Family;
use super::plan::on_every_plan;

#[test]
fn a_text_goes_from_end_to_end() {
    on_every_plan(|plan| {
        let (near, far) = Family::Tcp.pair();
        let (mut near, mut far) = (Io::new(TcpStream::from(near)), Io::new(TcpStream::from(far)));
        let reads = plan.spawn(move || {
            block_on(async {
                let (mut text, mut buffer) = (Vec::new(), [0; 7]);
                loop {
                    match poll_fn(|context| Pin::new(&mut far).poll_read(context, &mut buffer)).await.unwrap()
                    {
                        0 => return text,
                        length => text.extend_from_slice(&buffer[..length]),
                    }
                }
            })
        });
        let mut text: &[u8] = b"neither hyper nor tokio";
        coroutine::spawn(move || {
            block_on(async {
                while !text.is_empty() {
                    let sent =
                        poll_fn(|context| Pin::new(&mut near).poll_write(context, text)).await.unwrap();
                    text = &text[sent..];
                }
                poll_fn(|context| Pin::new(&mut near).poll_close(context)).await.unwrap();
            });
        })
        .join()
        .unwrap();
        assert_eq!(reads.join().unwrap(), b"neither hyper nor tokio");
    });
}
