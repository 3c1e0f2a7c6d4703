// Runs inside the browser, as a script of the page whose origin is on trial.
//
// Each trick makes the browser send a request to a server at `base`, for the live
// session `token` of its app `shop`: the page is given what an attacker could not
// know. It ends when it knows that no more will come, and answers what it could read.

const RPC = "latchkey.session.v1.SessionService/DeleteAppSessions";

const read = (answer) => answer.text();

/** Waits for an element to load or fail; answers `what` if it loaded. */
const show = (element, what) =>
  new Promise((resolve) => {
    element.onload = () => resolve(what);
    element.onerror = () => resolve("");
    document.body.append(element);
  });

const make = (tag, properties) => Object.assign(document.createElement(tag), properties);

/** What of a document in a frame or window this page may read; null while it is empty. */
const peek = (window) => {
  try {
    return window.location.href === "about:blank" ? null : window.document.body.textContent;
  } catch {
    return ""; // It is another origin's.
  }
};

const arrive = async (window) => {
  for (;;) {
    const text = peek(window);
    if (text !== null) return text;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

/** Submits a form into a frame. */
const submit = (properties, fields) => {
  // A name that no frame has, or the form would be sent to that one.
  const frame = make("iframe", { name: `frame${Math.random()}` });
  const form = make("form", { ...properties, target: frame.name });
  for (const [name, value] of fields) form.append(make("input", { name, value }));
  document.body.append(frame, form);
  form.submit();
  return arrive(frame.contentWindow);
};

const TRICKS = {
  "fetch of a session": ({ base, token }) => fetch(`${base}/shop/get/${token}`).then(read),
  "fetch of a list": ({ base }) => fetch(`${base}/shop/soapp?dt=600`).then(read),
  "fetch without leave to read": ({ base, token }) =>
    fetch(`${base}/shop/get/${token}`, { mode: "no-cors" }).then(read),
  "fetch by a redirect": ({ base, token }) =>
    fetch(`/redirect?to=${encodeURIComponent(`${base}/shop/get/${token}`)}`).then(read),
  "POST of text": ({ base, token }) =>
    fetch(`${base}/shop/set/${token}`, { method: "POST", mode: "no-cors", body: '{"n":1}' }).then(
      read,
    ),
  "POST of JSON": ({ base, token }) =>
    fetch(`${base}/shop/set/${token}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"n":1}',
    }).then(read),
  "PUT of a new session": ({ base }) =>
    fetch(`${base}/shop/create/eve?ip=::1`, { method: "PUT" }).then(read),
  "Connect with text": ({ base }) =>
    fetch(`${base}/${RPC}`, { method: "POST", mode: "no-cors", body: '{"app":"shop"}' }).then(read),
  Connect: ({ base }) =>
    fetch(`${base}/${RPC}`, {
      method: "POST",
      headers: { "content-type": "application/json", "connect-protocol-version": "1" },
      body: '{"app":"shop"}',
    }).then(read),
  "gRPC-Web": ({ base }) =>
    fetch(`${base}/${RPC}`, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
      body: new Uint8Array([0, 0, 0, 0, 6, 10, 4, 115, 104, 111, 112]),
    }).then(read),
  XMLHttpRequest: ({ base, token }) =>
    new Promise((resolve) => {
      const request = new XMLHttpRequest();
      request.onloadend = () => resolve(request.responseText);
      request.open("GET", `${base}/shop/get/${token}`);
      request.send();
    }),
  "an image": ({ base, token }) =>
    show(make("img", { src: `${base}/shop/get/${token}` }), "an image"),
  "a script": ({ base, token }) =>
    show(make("script", { src: `${base}/shop/get/${token}` }), "a script"),
  "a style sheet": ({ base, token }) =>
    show(make("link", { rel: "stylesheet", href: `${base}/shop/get/${token}` }), "a style sheet"),
  "a frame": ({ base, token }) => {
    const frame = make("iframe", { src: `${base}/shop/get/${token}` });
    document.body.append(frame);
    return arrive(frame.contentWindow);
  },
  "an object": ({ base, token }) => {
    const object = make("object", { data: `${base}/shop/get/${token}` });
    return show(object, "").then(() => object.contentDocument?.body.textContent ?? "");
  },
  "a window": ({ base, token }) => arrive(open(`${base}/shop/get/${token}`)),
  "a form": ({ base, token }) => submit({ action: `${base}/shop/get/${token}` }, []),
  "a form of text": ({ base, token }) =>
    submit({ action: `${base}/shop/set/${token}`, method: "POST", enctype: "text/plain" }, [
      ['{"n":"', '"}'],
    ]),
  "a page without an origin": ({ base, token }) =>
    new Promise((resolve) => {
      addEventListener("message", ({ data }) => resolve(data), { once: true });
      const script = `fetch("${base}/shop/get/${token}").then((answer) => answer.text())
        .catch(() => "").then((text) => parent.postMessage(text, "*"))`;
      const frame = make("iframe", { srcdoc: `<script>${script}</script>` });
      frame.setAttribute("sandbox", "allow-scripts");
      document.body.append(frame);
    }),
  "a beacon": async ({ base, token }) => {
    navigator.sendBeacon(`${base}/shop/set/${token}`, '{"n":1}');
    return "";
  },
  "a beacon of JSON": async ({ base, token }) => {
    const body = new Blob(['{"n":1}'], { type: "application/json" });
    navigator.sendBeacon(`${base}/shop/set/${token}`, body);
    return "";
  },
  "a stream of events": ({ base, token }) =>
    new Promise((resolve) => {
      const events = new EventSource(`${base}/shop/get/${token}`);
      events.onerror = () => {
        events.close();
        resolve("");
      };
    }),
  "a WebSocket": ({ base, token }) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${base.replace("http", "ws")}/shop/get/${token}`);
      socket.onopen = () => resolve("a WebSocket");
      socket.onerror = () => resolve("");
    }),
  // The last, for it leaves nothing to attack.
  "DELETE of every session": ({ base }) =>
    fetch(`${base}/shop/killall`, { method: "DELETE" }).then(read),
};

/** Plays a trick; one that fails has read nothing. */
globalThis.play = (name, target) => TRICKS[name](target).catch(() => "");
globalThis.tricks = Object.keys(TRICKS);
