export const title = 'Served by Vite'
