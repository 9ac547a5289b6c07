// Evaluate expressions: one JSON object {expression, variables} per line of input, one {value} or {error} per line of output.
import jsonata from "jsonata";
import readline from "node:readline";

const compiled = new Map();

function compile(text) {
  if (!compiled.has(text)) {
    const expression = jsonata(text);
    // https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
    expression.registerFunction("parse", (json) => JSON.parse(json), "<s:x>");
    compiled.set(text, expression);
  }
  return compiled.get(text);
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { expression, variables } = JSON.parse(line);
  let result;
  try {
    const value = await compile(expression).evaluate(undefined, variables);
    // Step Functions refuses an undefined result.
    result = value === undefined ? { error: "undefined" } : { value };
  } catch (error) {
    result = { error: error.message ?? String(error) };
  }
  console.log(JSON.stringify(result));
}
