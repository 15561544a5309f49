use std::sync::mpsc;

use super::*;
use crate::AbortController;

/// Calls what is registered for `message`, and returns the names that the listeners sent.
fn dispatch(listeners: &mut Listeners, called: &mpsc::Receiver<&'static str>) -> Vec<&'static str> {
    let event = Event::message("message", "", &Arc::default());
    let mut cursor = listeners.dispatch();
    while let Some(listener) = listeners.next("message", &mut cursor) {
        listener.call(&event);
    }
    called.try_iter().collect()
}

struct Names(mpsc::Sender<&'static str>);

impl Names {
    fn listener(&self, name: &'static str) -> Listener {
        let names = self.0.clone();
        Listener::new(move |_| names.send(name).unwrap())
    }
}

fn listeners() -> (Listeners, Names, mpsc::Receiver<&'static str>) {
    let (sender, called) = mpsc::channel();
    (Listeners::default(), Names(sender), called)
}

#[test]
fn c26_listeners_are_called_in_the_order_in_which_they_were_added() {
    let (mut listeners, names, called) = listeners();
    for name in ["a", "b", "c"] {
        listeners.add("message", &names.listener(name), ListenerOptions::default());
    }
    listeners.add("other", &names.listener("other"), ListenerOptions::default());
    assert_eq!(dispatch(&mut listeners, &called), ["a", "b", "c"]);
}

#[test]
fn c26_the_same_listener_is_added_once_a_type_whatever_the_options() {
    let (mut listeners, names, called) = listeners();
    let a = names.listener("a");
    listeners.add("message", &a, ListenerOptions::default());
    listeners.add("message", &a.clone(), ListenerOptions::default().once());
    listeners.add("other", &a, ListenerOptions::default());
    assert_eq!(dispatch(&mut listeners, &called), ["a"]);
    assert_eq!(dispatch(&mut listeners, &called), ["a"], "the first options hold");
    drop(listeners.remove("message", &a));
    assert_eq!(dispatch(&mut listeners, &called), [""; 0]);
}

#[test]
fn c26_a_handler_is_replaced_in_its_place_and_apart_from_listeners() {
    let (mut listeners, names, called) = listeners();
    let first = names.listener("first");
    assert!(listeners.set_handler("message", first.clone()).is_none());
    listeners.add("message", &names.listener("listener"), ListenerOptions::default());
    drop(listeners.remove("message", &first));
    assert_eq!(dispatch(&mut listeners, &called), ["first", "listener"]);
    assert!(listeners.set_handler("message", names.listener("second")).is_some());
    assert_eq!(dispatch(&mut listeners, &called), ["second", "listener"]);
}

#[test]
fn c26_once_is_once() {
    let (mut listeners, names, called) = listeners();
    listeners.add("message", &names.listener("once"), ListenerOptions::default().once());
    assert_eq!(dispatch(&mut listeners, &called), ["once"]);
    assert_eq!(dispatch(&mut listeners, &called), [""; 0]);
}

#[test]
fn c26_a_signal_removes_and_an_aborted_one_adds_nothing() {
    let (mut listeners, names, called) = listeners();
    let controller = AbortController::new();
    let options = || ListenerOptions::default().signal(&controller.signal());
    listeners.add("message", &names.listener("before"), options());
    assert_eq!(dispatch(&mut listeners, &called), ["before"]);
    controller.abort();
    assert_eq!(dispatch(&mut listeners, &called), [""; 0]);
    drop(listeners.remove_aborted());
    listeners.add("message", &names.listener("after"), options());
    assert_eq!(listeners.signals().count(), 0);
}

#[test]
fn c26_what_comes_and_goes_during_a_dispatch() {
    let (mut listeners, names, called) = listeners();
    let (a, b, c) = (names.listener("a"), names.listener("b"), names.listener("c"));
    listeners.add("message", &a, ListenerOptions::default());
    listeners.add("message", &b, ListenerOptions::default());
    let mut cursor = listeners.dispatch();
    assert!(listeners.next("message", &mut cursor).unwrap().is(&a));
    drop(listeners.remove("message", &a));
    drop(listeners.remove("message", &b));
    listeners.add("message", &c, ListenerOptions::default());
    assert!(listeners.next("message", &mut cursor).is_none(), "one was removed, one is for the next event");
    assert_eq!(dispatch(&mut listeners, &called), ["c"]);
}

#[test]
fn c26_a_panic_is_the_listeners_own() {
    let listener = Listener::new(|_| panic!("expected in this test"));
    let event = Event::message("message", "", &Arc::default());
    listener.call(&event);
    listener.call(&event);
}
