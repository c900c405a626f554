/*
 * The form: choosing a feed and filling in the parameters that it declares. Knows no network.
 *
 * The server judges the values; the browser's own checks must never be stricter, so a pattern that
 * means another thing in JavaScript than in Python is left to the server.
 */

/** The fields of one feed, inside `fieldset`, made from `template`. */
export class Fields {
  #inputs = new Map();

  constructor(fieldset, template, params) {
    const labels = Object.entries(params).map(([name, param]) => this.#field(template, name, param));
    fieldset.replaceChildren(...labels);
    fieldset.hidden = labels.length === 0;
  }

  #field(template, name, param) {
    const label = template.content.firstElementChild.cloneNode(true);
    const input = label.querySelector('input');
    label.dataset.type = param.type;
    label.querySelector('[data-part=label]').textContent = param.label || name;
    input.name = name;
    input.dataset.param = name;
    if (param.type === 'boolean') asCheckbox(input, param);
    else asText(input, param);
    input.addEventListener('input', () => input.setCustomValidity(''));
    this.#inputs.set(name, input);
    return label;
  }

  /** The query of a request: what is left empty is left to its default. */
  query() {
    const query = new URLSearchParams();
    for (const [name, input] of this.#inputs) {
      if (input.type === 'checkbox') query.set(name, String(input.checked));
      else if (input.value !== '') query.set(name, input.value);
    }
    return query;
  }

  /** Show what the server says of a parameter at its field, if there is one. */
  reject(name, reason) {
    const input = this.#inputs.get(name);
    input?.setCustomValidity(reason);
    input?.reportValidity();
  }
}

function asCheckbox(input, param) {
  input.type = 'checkbox';
  input.checked = param.default === true;
}

function asText(input, param) {
  const isRequired = param.default === undefined;
  input.required = isRequired;
  input.value = input.placeholder = isRequired ? '' : String(param.default);
  if (param.type === 'string') {
    if (param.max_length) input.maxLength = param.max_length;
    if (isSameInBoth(param.pattern)) input.pattern = param.pattern;
  } else {
    const isWhole = param.type === 'integer';
    input.pattern = isWhole ? '[+\\-]?[0-9]+' : '[+\\-0-9.eE]+';
    input.inputMode = isWhole ? 'numeric' : 'decimal';
    input.title = isWhole ? 'a whole number' : 'a number';
  }
}

/** Say whether a pattern of Python's `re` may be checked by the browser. */
function isSameInBoth(pattern) {
  // \w, \d and \b know all scripts there and ASCII alone here; flags and names are written otherwise.
  if (!pattern || /\\[wWdDbBAZ]|\(\?(?![:=!])/.test(pattern)) return false;
  try {
    return Boolean(new RegExp(`^(?:${pattern})$`, 'v'));
  } catch {
    return false;
  }
}
