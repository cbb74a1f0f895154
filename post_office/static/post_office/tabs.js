/* Sections as tabs. Without this script they stand one below another, each with its heading.

   Elements with the class "post-office-tab" that have one parent become the panels of one row of tabs. A
   tab is called what the panel's `data-tab` says, else its first heading. One with an error is shown first;
   else that of the address: #tab-headers shows the panel with the class or the id "tab-headers". */
"use strict";
{
    const PANEL = "post-office-tab";
    let number = 0;

    const nameOf = (panel) => panel.id
        || [...panel.classList].find((each) => each.startsWith("tab-"))
        || `tab-${number}`;

    function tabFor(panel) {
        number += 1;
        const heading = panel.querySelector("h2, h3");
        const tab = document.createElement("button");
        tab.type = "button";
        panel.id = nameOf(panel);
        tab.id = `${panel.id}-tab`;
        tab.textContent = panel.dataset.tab || (heading ? heading.textContent : panel.id);
        tab.classList.toggle("post-office-faulty", panel.querySelector(".errorlist") !== null);
        return tab;
    }

    /* Make elements a row of tabs; returns the function that shows the panel at a position.

       `chosen` is told the position of a tab that somebody chooses. */
    function join(row, tabs, panels, chosen) {
        row.setAttribute("role", "tablist");
        row.className = "post-office-tabs";
        row.replaceChildren(...tabs);

        function show(shown) {
            tabs.forEach((tab, position) => {
                const isShown = position === shown;
                tab.setAttribute("aria-selected", String(isShown));
                tab.tabIndex = isShown ? 0 : -1;
                panels[position].hidden = !isShown;
            });
        }

        function choose(position) {
            show(position);
            tabs[position].focus();
            chosen(position);
        }

        tabs.forEach((tab, position) => {
            const panel = panels[position];
            tab.setAttribute("role", "tab");
            tab.setAttribute("aria-controls", panel.id);
            panel.setAttribute("role", "tabpanel");
            panel.setAttribute("aria-labelledby", tab.id);
            panel.classList.add("post-office-panel");
            tab.addEventListener("click", () => choose(position));
            tab.addEventListener("keydown", (event) => {
                const forward = document.documentElement.dir === "rtl" ? "ArrowLeft" : "ArrowRight";
                const backward = forward === "ArrowRight" ? "ArrowLeft" : "ArrowRight";
                const goal = {
                    [forward]: (position + 1) % tabs.length,
                    [backward]: (position + tabs.length - 1) % tabs.length,
                    Home: 0,
                    End: tabs.length - 1,
                }[event.key];
                if (goal !== undefined) {
                    event.preventDefault();
                    choose(goal);
                }
            });
        });
        return show;
    }

    globalThis.postOffice = {...globalThis.postOffice, tabs: join};

    function build(parent) {
        const panels = [...parent.children].filter((child) => child.classList.contains(PANEL));
        if (panels.length < 2) {
            return;
        }
        const row = document.createElement("div");
        const tabs = panels.map(tabFor);
        panels[0].before(row);
        const show = join(row, tabs, panels, (position) => {
            history.replaceState(null, "", `#${panels[position].id}`);
        });

        function followAddress() {
            const named = panels.findIndex((panel) => `#${panel.id}` === location.hash);
            if (named >= 0) {
                show(named);
            }
            return named >= 0;
        }

        const faulty = tabs.findIndex((tab) => tab.classList.contains("post-office-faulty"));
        show(Math.max(faulty, 0));
        if (faulty < 0) {
            followAddress();
        }
        window.addEventListener("hashchange", followAddress);
    }

    function start() {
        const parents = new Set([...document.getElementsByClassName(PANEL)].map((panel) => panel.parentElement));
        parents.forEach(build);
    }

    if (document.readyState === "loading") {
        document.addEventListener("DOMContentLoaded", start);
    } else {
        start();
    }
}
