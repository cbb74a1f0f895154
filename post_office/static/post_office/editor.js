/* The form of a template: its languages as tabs, and beside them what the one that is open would send.

   The form is that of Django's admin, and posts what it posts without this script. */
"use strict";
{
    const PAUSE = 500; // milliseconds without typing, after which the preview follows
    const MOST_NAMED = 12; // languages without a translation that are named

    const byId = (id) => document.getElementById(id);

    function element(name, className = "", text = "") {
        const made = document.createElement(name);
        made.className = className;
        made.textContent = text;
        return made;
    }

    const say = (text, values) => text.replace(/%\((\w+)\)s/g, (whole, name) => values[name] ?? whole);

    function open(root) {
        const given = JSON.parse(root.dataset.editor);
        const {words} = given;
        const {code} = globalThis.postOffice;
        const form = root.closest("form");
        const group = byId(`${given.formset}-group`);
        const first = byId("template-default");
        if (!form || !first || !first.querySelector("textarea")) {
            return;
        }
        let current = first;
        let timer = null;
        let running = null;
        let told = "";
        let state = "";

        root.classList.add("post-office-live");
        root.querySelectorAll(".post-office-scripted").forEach((each) => { each.hidden = false; });
        form.querySelectorAll(".post-office-unscripted").forEach((each) => each.remove());

        // --- parts: the default text and the translations ----------------------------------------

        const translations = () => (
            group ? [...group.querySelectorAll(".inline-related:not(.empty-form)")] : []
        );
        const panels = () => [first, ...translations()];
        const prefixOf = (panel) => (panel === first ? "" : panel.id);
        const languageOf = (panel) => panel.querySelector('select[name$="-language"]');

        function nameOf(panel) {
            if (panel === first) {
                return words.default;
            }
            const select = languageOf(panel);
            return select && select.value ? select.selectedOptions[0].textContent : words.unnamed;
        }

        const hasFault = (panel) => panel.querySelector(".errorlist, [aria-invalid=true]") !== null;

        // --- tabs ------------------------------------------------------------------------------------

        const row = element("div");
        row.setAttribute("aria-label", words.tabs);
        row.hidden = !group;
        let tabs = [];

        function paintTabs() {
            panels().forEach((panel, position) => {
                const tab = tabs[position];
                const remove = panel.querySelector('input[name$="-DELETE"]');
                tab.textContent = nameOf(panel);
                tab.classList.toggle("post-office-faulty", hasFault(panel));
                tab.classList.toggle("post-office-going", Boolean(remove && remove.checked));
            });
        }

        function build() {
            const all = panels();
            tabs = all.map((panel) => {
                const tab = element("button");
                tab.type = "button";
                tab.id = `${panel.id}-tab`;
                return tab;
            });
            const show = globalThis.postOffice.tabs(row, tabs, all, (position) => {
                current = all[position];
                look();
            });
            paintTabs();
            current = all.includes(current) ? current : first;
            show(all.indexOf(current));
            offer();
        }

        function reveal(panel) {
            current = panel;
            build();
            look();
        }

        // --- languages that are still to be written --------------------------------------------------

        const offers = element("div", "post-office-offers");
        const choice = element("select");
        choice.id = "template-add-language";
        const label = element("label", "", words.language);
        label.htmlFor = choice.id;
        const add = element("button", "button", words.add);
        add.type = "button";
        const lacking = element("p", "post-office-lacking");
        offers.append(label, choice, add, lacking);
        // Languages that are general enough for others, such as "pt" for "pt-br", are known to the server alone.
        const missing = new Set(given.languages.filter((each) => each.missing).map((each) => each.code));

        function offer() {
            const taken = new Set(translations().map((panel) => languageOf(panel)?.value));
            const free = given.languages.filter((each) => !taken.has(each.code));
            const chosen = choice.value;
            choice.replaceChildren(...free.map((each) => {
                const option = element("option");
                option.value = each.code;
                option.textContent = missing.has(each.code)
                    ? say(words.missing, {language: each.name})
                    : each.name;
                return option;
            }));
            choice.value = free.some((each) => each.code === chosen)
                ? chosen
                : (free.find((each) => missing.has(each.code)) || free[0])?.code ?? "";
            offers.hidden = !group || free.length === 0 || !byId(`${given.formset}-empty`);
            const absent = free.filter((each) => missing.has(each.code)).map((each) => each.name);
            const named = absent.slice(0, MOST_NAMED);
            if (absent.length > named.length) {
                named.push(say(words.more, {number: absent.length - named.length}));
            }
            lacking.textContent = absent.length ? say(words.lacking, {languages: named.join(", ")}) : "";
        }

        add.addEventListener("click", () => group.querySelector(".add-row a")?.click());

        document.addEventListener("formset:added", (event) => {
            const panel = event.target;
            if (event.detail?.formsetName !== given.formset || panel === document) {
                return;
            }
            const select = languageOf(panel);
            if (select && choice.value) {
                select.value = choice.value;
            }
            enhance(panel);
            reveal(panel);
            panel.querySelector('input[name$="-subject"]')?.focus();
        });

        document.addEventListener("formset:removed", (event) => {
            if (event.detail?.formsetName === given.formset) {
                reveal(panels().includes(current) ? current : first);
                tabs[panels().indexOf(current)].focus();
            }
        });

        // --- the preview -----------------------------------------------------------------------------

        function posted() {
            const data = new FormData(form);
            data.set("_part", prefixOf(current));
            return data;
        }

        function ask(address, signal) {
            const headers = {Accept: "application/json"};
            return fetch(address, {method: "POST", body: posted(), headers, signal}).then((response) => {
                if (response.redirected || response.status === 403) {
                    throw new Error(words.signedOut);
                }
                if (!response.ok) {
                    throw new Error(words.unanswered);
                }
                return response.json();
            });
        }

        const wordsOf = (fault, otherwise) => (fault.message === words.signedOut ? fault.message : otherwise);

        /* A new frame for each document: one frame would make an entry in the browser's history of each. */
        function showDocument() {
            const old = root.querySelector("iframe:not(.post-office-coming)");
            const {id} = old;
            root.querySelectorAll("iframe.post-office-coming").forEach((each) => each.remove());
            const frame = old.cloneNode(false);
            frame.removeAttribute("id");
            frame.loading = "eager";
            frame.name = `${id}-${Date.now()}`;
            frame.classList.add("post-office-coming");
            frame.setAttribute("aria-hidden", "true");
            frame.tabIndex = -1;
            old.after(frame);
            frame.addEventListener("load", () => {
                frame.classList.remove("post-office-coming");
                frame.removeAttribute("aria-hidden");
                frame.removeAttribute("tabindex");
                old.remove();
                frame.id = id;
            }, {once: true});
            const carrier = element("form");
            carrier.method = "post";
            carrier.target = frame.name;
            carrier.action = given.preview + (images.checked ? "?images=remote" : "");
            carrier.hidden = true;
            for (const [name, value] of posted()) {
                const input = element("input");
                input.type = "hidden";
                input.name = name;
                input.value = value;
                carrier.append(input);
            }
            document.body.append(carrier);
            carrier.submit();
            carrier.remove();
        }

        function go(problem) {
            const control = byId(problem.control);
            if (!control) {
                return;
            }
            const panel = panels().find((each) => each.contains(control));
            if (panel && panel !== current) {
                reveal(panel);
            }
            control.closest("details")?.setAttribute("open", "");
            code.goTo(control, problem.line, problem.column);
        }

        function showProblems(problems) {
            // What is wrong with other languages was said when they were looked at.
            for (const place of [current, ...root.querySelectorAll(".post-office-sample")]) {
                place.querySelectorAll("textarea.post-office-source").forEach((area) => {
                    const own = problems.filter((problem) => problem.control === area.id);
                    code.mark(area, own.map((problem) => problem.line || 1));
                });
                place.querySelectorAll('input[name$="subject"]').forEach((input) => {
                    input.removeAttribute("aria-invalid");
                });
            }
            problems.forEach((problem) => byId(problem.control)?.setAttribute("aria-invalid", "true"));
            const saying = JSON.stringify(problems);
            if (saying === told) {
                return;
            }
            told = saying;
            const list = element("ul");
            list.append(...problems.map((problem) => {
                const item = element("li");
                const button = element("button", "post-office-problem", problem.said);
                button.type = "button";
                button.addEventListener("click", () => go(problem));
                item.append(button);
                return item;
            }));
            byId("template-problems").replaceChildren(
                problems.length ? list : element("p", "post-office-fine", words.fine),
            );
        }

        function showVariables(answer) {
            const list = byId("template-variables");
            list.replaceChildren(...answer.variables.map((variable) => {
                const item = element("li", variable.missing ? "post-office-absent" : "");
                const text = variable.missing ? words.absent : words.given;
                item.append(element("code", "", variable.name), ` ${text}`);
                return item;
            }));
            if (!answer.variables.length) {
                list.append(element("li", "", words.none));
            }
            const fill = byId("template-fill");
            fill.disabled = answer.filled === null;
            fill.onclick = () => {
                const area = byId(answer.context);
                area.value = answer.filled;
                area.dispatchEvent(new Event("input", {bubbles: true}));
                fill.disabled = true;
                area.focus();
            };
        }

        const stateOf = () => new URLSearchParams(posted()).toString();

        function look() {
            clearTimeout(timer);
            state = stateOf();
            running?.abort();
            running = new AbortController();
            const {signal} = running;
            ask(given.check, signal).then((answer) => {
                byId("template-subject").textContent = answer.subject;
                byId("template-text").textContent = answer.text;
                showProblems(answer.problems);
                showVariables(answer);
                paintTabs();
            }).catch((fault) => {
                if (fault.name !== "AbortError") {
                    told = "";
                    byId("template-problems").replaceChildren(
                        element("p", "post-office-unfine", wordsOf(fault, words.unanswered)),
                    );
                }
            });
            showDocument();
        }

        function soon() {
            clearTimeout(timer);
            timer = setTimeout(look, PAUSE);
        }

        const images = byId("template-images");
        const isOurs = ({target}) => target === images || (target.form === form && target.name);

        form.addEventListener("input", (event) => {
            if (isOurs(event)) {
                soon();
            }
        });
        form.addEventListener("change", (event) => {
            if (isOurs(event)) {
                paintTabs();
                offer();
                soon();
            }
        });
        // A browser that goes back puts in what was typed, and says so by no other event.
        window.addEventListener("pageshow", () => {
            if (stateOf() !== state) {
                soon();
            }
        });

        // --- a test ----------------------------------------------------------------------------------

        const trial = byId("template-trial");
        trial?.addEventListener("click", () => {
            const said = byId("template-said");
            trial.disabled = true;
            said.className = "";
            said.textContent = words.sending;
            ask(given.trial).then((answer) => {
                said.className = answer.sent ? "post-office-fine" : "post-office-unfine";
                said.textContent = answer.said;
            }).catch((fault) => {
                said.className = "post-office-unfine";
                said.textContent = wordsOf(fault, words.untold);
            }).finally(() => {
                trial.disabled = false;
            });
        });

        // --- start -----------------------------------------------------------------------------------

        function enhance(panel) {
            panel.querySelectorAll("textarea.post-office-source").forEach((area) => {
                if (!area.closest(".empty-form")) {
                    code.enhance(area, words);
                }
            });
        }

        enhance(root);
        first.before(row);
        row.after(offers);
        current = panels().find(hasFault) || first;
        build();
        look();
    }

    function start() {
        document.querySelectorAll(".post-office-editor[data-editor]").forEach(open);
    }

    if (document.readyState === "loading") {
        document.addEventListener("DOMContentLoaded", start);
    } else {
        start();
    }
}
