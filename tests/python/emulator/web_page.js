// The script of a web page that sends every request of PLAN, and reports what it could read of the answers.

const REFUSED = null;
const SECONDS = 15;

/** Return a hidden frame that has loaded what `start` sends it to. */
function framed(start) {
  return new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.name = `frame-${Math.random()}`;
    document.body.append(frame);
    frame.onload = () => resolve(frame);
    start(frame);
  });
}

/** Return the text in a frame, which browsers let only pages of the same origin read. */
function textOf(frame) {
  return frame.contentDocument ? frame.contentDocument.body.innerText : REFUSED;
}

function element(kind, url) {
  return new Promise((resolve) => {
    const made = document.createElement(kind);
    made.onload = () => resolve(`${kind} loaded`);
    made.onerror = () => resolve(REFUSED);
    made.src = url;
    document.body.append(made);
  });
}

const WAYS = {
  async fetch({ url, method, type, body }) {
    const headers = type ? { "Content-Type": type } : {};
    const answer = await fetch(url, { method, headers, body });
    return `${answer.status} ${await answer.text()}`;
  },

  // The page learns nothing, whatever the answer is, but the request is sent.
  async opaque({ url, method, type, body }) {
    const headers = type ? { "Content-Type": type } : {};
    const answer = await fetch(url, { mode: "no-cors", method, headers, body });
    return answer.type === "opaque" ? REFUSED : `${answer.status} ${await answer.text()}`;
  },

  async form({ url, type, fields }) {
    const frame = await framed((frame) => {
      const form = document.createElement("form");
      Object.assign(form, { action: url, method: "POST", enctype: type, target: frame.name });
      for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement("input");
        Object.assign(input, { type: "hidden", name, value });
        form.append(input);
      }
      document.body.append(form);
      form.submit();
    });
    return textOf(frame);
  },

  async frame({ url }) {
    return textOf(await framed((frame) => (frame.src = url)));
  },

  image: ({ url }) => element("img", url),

  script: ({ url }) => element("script", url),

  socket({ url, protocols }) {
    return new Promise((resolve) => {
      const socket = new WebSocket(url.replace("http:", "ws:"), protocols);
      socket.onopen = () => resolve("open");
      socket.onerror = () => resolve(REFUSED);
    });
  },
};

async function send(request) {
  try {
    const late = new Promise((resolve) => setTimeout(resolve, SECONDS * 1000, `no answer within ${SECONDS} s`));
    return await Promise.race([WAYS[request.way](request), late]);
  } catch (error) {
    if (error instanceof TypeError) return REFUSED;
    return `error: ${error}`;
  }
}

onload = async () => {
  const learned = [];
  for (const request of PLAN.requests) learned.push(await send(request));
  const body = JSON.stringify({ page: PLAN.page, learned });
  await fetch(PLAN.report, { mode: "no-cors", method: "POST", body });
};
