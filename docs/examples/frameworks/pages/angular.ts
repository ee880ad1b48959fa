import '@angular/compiler' // templates are compiled in the page here
import { Component, DestroyRef, Injectable, inject, provideZonelessChangeDetection, signal } from '@angular/core'
import { bootstrapApplication } from '@angular/platform-browser'
import { connect } from 'pylon-sse/client'

// #region todos
interface Todo {
  id: number
  title: string
}

@Injectable({ providedIn: 'root' })
export class Todos {
  readonly list = signal<Todo[]>([])
  readonly state = signal('connecting')

  constructor() {
    const live = connect<{ 'todo.created': Todo }>('/events', {
      load: async ({ signal }) => this.list.set(await (await fetch('/todos', { signal })).json())
    })
    live.on('todo.created', (todo) => this.list.update((all) => [...all.filter(({ id }) => id !== todo.id), todo]))
    live.onStatus(({ state }) => this.state.set(state))
    inject(DestroyRef).onDestroy(() => live.close())
  }
}

@Component({
  selector: '#root',
  template: `
    <p>{{ todos.state() }}</p>
    <ul>
      @for (todo of todos.list(); track todo.id) { <li>{{ todo.title }}</li> }
    </ul>
  `
})
export class App {
  readonly todos = inject(Todos)
}
// #endregion

bootstrapApplication(App, { providers: [provideZonelessChangeDetection()] })
