import { title } from './title.js'

const show = (text) => {
  document.querySelector('#title').textContent = text
}

show(title)
import.meta.hot?.accept('./title.js', (next) => show(next.title))
