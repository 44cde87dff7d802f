<%@ page contentType="text/html; charset=UTF-8" %>
<%
  Integer visits = (Integer) session.getAttribute("visits");
  visits = visits == null ? 1 : visits + 1;
  session.setAttribute("visits", visits);
%>
<!doctype html>
<title>Tomcat</title>
<h1>Using port <%= request.getLocalPort() %></h1>
<p>Your visits: <%= visits %></p>
