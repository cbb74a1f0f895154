/* Text areas for source: numbers of lines, lines with a mistake, and a Tab key that indents where it is asked to.

   The text stays that of the text area; what is behind it has the same text unseen, and so knows where its
   lines are. The Tab key leaves the field, unless somebody has switched that off; Escape lets it leave again. */
"use strict";
{
    const TAGS = /(\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\})/;
    const INDENT = "  ";

    function element(name, className, text = "") {
        const made = document.createElement(name);
        made.className = className;
        made.textContent = text;
        return made;
    }

    function fill(line, text) {
        line.replaceChildren(...text.split(TAGS).filter(Boolean).map((piece) => (
            TAGS.test(piece) ? element("span", "post-office-tag", piece) : piece
        )));
    }

    const isEnhanced = (area) => area.closest(".post-office-code") !== null;

    const linesOf = (area) => (isEnhanced(area) ? [...area.parentElement.firstChild.children] : []);

    /* Make a text area an editor. */
    function enhance(area, words) {
        if (isEnhanced(area)) {
            return;
        }
        const code = element("div", "post-office-code");
        const sheet = element("div", "post-office-sheet");
        const lines = element("div", "post-office-lines");
        const bar = element("div", "post-office-code-bar");
        const toggle = element("button", "post-office-toggle", words.indent);
        const hint = element("span", "post-office-hint");
        lines.setAttribute("aria-hidden", "true");
        toggle.type = "button";
        toggle.setAttribute("aria-pressed", "false");
        hint.setAttribute("role", "status");
        bar.append(toggle, hint);
        area.before(code);
        code.append(sheet);
        sheet.append(lines, area);
        code.after(bar);
        const shown = [];

        function paint() {
            const texts = area.value.split("\n");
            texts.forEach((text, number) => {
                if (number >= shown.length) {
                    lines.append(element("div", "post-office-line"));
                    shown.push(null);
                }
                if (shown[number] !== text) {
                    fill(lines.children[number], text);
                    shown[number] = text;
                }
            });
            while (shown.length > texts.length) {
                shown.pop();
                lines.lastChild.remove();
            }
        }

        const indents = () => toggle.getAttribute("aria-pressed") === "true";

        function setIndents(on) {
            toggle.setAttribute("aria-pressed", String(on));
            hint.textContent = on ? words.leave : "";
        }

        toggle.addEventListener("click", () => setIndents(!indents()));
        area.addEventListener("keydown", (event) => {
            if (event.key === "Escape" && indents()) {
                setIndents(false);
            } else if (event.key === "Tab" && indents() && !event.altKey && !event.ctrlKey && !event.metaKey) {
                event.preventDefault();
                indent(area, event.shiftKey);
            }
        });
        area.addEventListener("input", paint);
        window.addEventListener("pageshow", paint); // a browser that goes back puts in what was typed
        paint();
    }

    /* Replace a part of the text so that "undo" takes it back. */
    function replace(area, from, to, text) {
        area.setSelectionRange(from, to);
        if (!document.execCommand(text ? "insertText" : "delete", false, text)) {
            area.setRangeText(text, from, to, "end");
            area.dispatchEvent(new Event("input", {bubbles: true}));
        }
    }

    function indent(area, back) {
        const {selectionStart: from, selectionEnd: to, value} = area;
        if (!back && from === to) {
            replace(area, from, to, INDENT);
            return;
        }
        const begin = value.lastIndexOf("\n", from - 1) + 1;
        const old = value.slice(begin, to);
        const text = back ? old.replace(/^ {1,2}|^\t/gm, "") : old.replace(/^(?=.)/gm, INDENT);
        if (text === old) {
            return;
        }
        replace(area, begin, to, text);
        area.setSelectionRange(back && from === to ? area.selectionEnd : begin, area.selectionEnd);
    }

    /* Mark the lines, counted from 1, that have a mistake. */
    function mark(area, wrong) {
        area.toggleAttribute("aria-invalid", false);
        if (wrong.length) {
            area.setAttribute("aria-invalid", "true");
        }
        linesOf(area).forEach((line, number) => {
            line.classList.toggle("post-office-wrong", wrong.includes(number + 1));
        });
    }

    /* Put the cursor at a line and a column, both counted from 1. */
    function goTo(area, line, column) {
        area.focus();
        if (!line) {
            return;
        }
        const texts = area.value.split("\n");
        const before = texts.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
        const place = Math.min(before + column - 1, area.value.length);
        area.setSelectionRange(place, place);
        linesOf(area)[line - 1]?.scrollIntoView({block: "nearest"});
    }

    globalThis.postOffice = {...globalThis.postOffice, code: {enhance, mark, goTo}};
}
